"""Programs that print a comparison or a ratio; nothing in deeprec or flows needs them."""
