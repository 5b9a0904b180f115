"""The networks as torch modules; nothing here trains them."""
