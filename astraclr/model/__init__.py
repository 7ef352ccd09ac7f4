"""The encoder: its inputs and attention, its weights on disk, and the embedding of light curves."""
