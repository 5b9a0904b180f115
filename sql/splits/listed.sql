-- Makes `held_out`, one row a pair that is listed for dev or test and may have a rating.
create or replace temp table held_out as
select
    users.user_index,
    movies.movie_index,
    enum_code(listed_pairs.part::split_part) as part_code
from listed_pairs
inner join users using (user_id)
inner join movies using (movie_id)
order by users.user_index;
