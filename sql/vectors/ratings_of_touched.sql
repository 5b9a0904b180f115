-- One row a rating of a touched user, in no order; its day is $undated where it has none.
select
    users.user_index,
    movies.movie_index,
    ratings.rating,
    coalesce((ratings.rated_at::date - date '1970-01-01')::integer, $undated) as rating_day
from ratings
inner join users using (user_id)
inner join movies using (movie_id)
where ratings.user_id in (select touched_users.user_id from touched_users);
