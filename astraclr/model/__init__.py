"""The encoder: inputs, attention, weights on disk, and the embedding of light curves."""
