-- Removes `sorted_ratings`.
drop table if exists sorted_ratings;
