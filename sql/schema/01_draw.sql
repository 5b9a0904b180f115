-- A macro: a number in [0, 1] that only the seed, the user and the movie decide, the same in
-- every release of DuckDB (its own hash() promises no such thing). The shift is md5_number_lower(),
-- which goes by way of text and takes four times as long.
create macro if not exists draw(seed, user_id, movie_id) as
(md5_number(concat_ws(':', seed, user_id, movie_id)) >> 64)::ubigint::double
/ 18446744073709551616.0;
