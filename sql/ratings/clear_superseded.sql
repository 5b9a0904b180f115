-- Empties `superseded_ratings`.
delete from superseded_ratings;
