"""Light curves as flat columns: our parquet files, cleaning, labels, tokens, summaries, shards."""
