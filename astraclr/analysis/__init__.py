"""What to do with embeddings: classes, maps, neighbours, outliers, periods, and the explorer page."""
