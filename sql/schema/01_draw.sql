-- A macro: a number in [0, 1] that only the seed, the user and the movie decide, the same in
-- every release of DuckDB (its own hash() promises no such thing).
create macro if not exists draw(seed, user_id, movie_id) as
md5_number_lower(concat_ws(':', seed, user_id, movie_id))::double / 18446744073709551616.0;
