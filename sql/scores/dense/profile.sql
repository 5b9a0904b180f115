-- One row a half rating: how many predictions of the sampled users of `batch`, of 2,000 movies
-- drawn by a hash of their ids, lie in it.
with sampled_movies as (
    select
        block,
        place
    from movie_places
    order by hash(movie_id), movie_id
    limit 2000
),

sampled_users as (
    select
        block,
        ratings
    from rating_blocks
    where user_id in (select batch.user_id from batch)
),

halves as (
    select
        floor(2 * sampled_users.ratings[sampled_movies.place]::double) / 2 as half,
        count(*) as num_rows
    from sampled_users
    inner join sampled_movies using (block)
    group by half
)

select
    printf('%.1f', half) as bucket,
    num_rows
from halves;
