"""Systems trained under one protocol and compared."""
