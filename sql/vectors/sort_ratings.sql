-- Makes `sorted_ratings`, one row a rating: by user, and by movie within a user.
create or replace temp table sorted_ratings as
select
    users.user_index,
    movies.movie_index,
    ratings.rating,
    (ratings.rated_at::date - date '1970-01-01')::integer as day
from ratings
inner join users using (user_id)
inner join movies using (movie_id)
order by users.user_index, movies.movie_index;
