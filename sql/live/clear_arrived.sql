-- Empties the queue: what was in it has been held against what is published.
delete from arrived_ratings;
