"""Contrastive training: views, losses, the optimiser, the loop, and runs that survive interruption."""
