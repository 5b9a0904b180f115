"""From ratings to one sparse vector a user, and the part of each rating."""
