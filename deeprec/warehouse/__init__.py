"""What the warehouse keeps, and the only door to DuckDB."""
