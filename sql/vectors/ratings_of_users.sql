-- One row a rating of the users in `batch`, in no order; its day is $undated where it has none.
select
    batch.place,
    movies.movie_index,
    ratings.rating,
    coalesce((ratings.rated_at::date - date '1970-01-01')::integer, $undated) as rating_day
from ratings
inner join batch on ratings.user_id = batch.user_id
inner join movies on ratings.movie_id = movies.movie_id;
