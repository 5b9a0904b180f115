-- Makes `sorted_parts`, one row a rating: its part, in the order of its user's vector.
create or replace temp table sorted_parts as
select
    users.user_index,
    movies.movie_index,
    rating_parts.part
from rating_parts
inner join users using (user_id)
inner join movies using (movie_id)
order by users.user_index, movies.movie_index;
