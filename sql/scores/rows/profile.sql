-- One row a half rating: how many predictions of the sampled users of `batch`, of 2,000 movies
-- drawn by a hash of their ids, lie in it.
with sampled_movies as (
    select movie_id
    from movies
    order by hash(movie_id), movie_id
    limit 2000
),

halves as (
    select
        floor(2 * predicted_rating::double) / 2 as half,
        count(*) as num_rows
    from predicted_ratings
    where
        user_id in (select batch.user_id from batch)
        and movie_id in (select sampled_movies.movie_id from sampled_movies)
    group by half
)

select
    printf('%.1f', half) as bucket,
    num_rows
from halves;
