"""From rating files as people have them to rows with a place: knows formats, not the warehouse."""
