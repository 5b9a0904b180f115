"""What runs every night, and what people do about it."""
