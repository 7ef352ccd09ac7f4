"""How good an embedding is: metrics, splits, probes, features, fine-tuning, and the benchmark."""
