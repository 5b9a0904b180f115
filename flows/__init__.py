"""The pipeline as Prefect flows: names, retries, timeouts, concurrency, order and artifacts."""
