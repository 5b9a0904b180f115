-- Empties `movies`.
delete from movies;
