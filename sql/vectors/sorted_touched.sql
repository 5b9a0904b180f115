-- One row a rating of a touched user, by user, and by movie within a user.
select
    users.user_index,
    movies.movie_index as movie_indexes,
    ratings.rating as ratings,
    (ratings.rated_at::date - date '1970-01-01')::integer as rating_days
from ratings
semi join touched_users using (user_id)
inner join users using (user_id)
inner join movies using (movie_id)
order by users.user_index, movies.movie_index;
