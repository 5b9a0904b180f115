"""From rating files to the warehouse."""
