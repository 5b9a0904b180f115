-- One row a rating of the users in an index range, in no order;
-- its day is $undated where it has no date.
select
    users.user_index,
    movies.movie_index,
    ratings.rating,
    coalesce((ratings.rated_at::date - date '1970-01-01')::integer, $undated) as rating_day
from ratings
inner join users using (user_id)
inner join movies using (movie_id)
where users.user_index >= $first_user and users.user_index < $end_user;
