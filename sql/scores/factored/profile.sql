-- One row a half rating: how many predictions of the sampled users of `batch`, of 2,000 movies
-- drawn by a hash of their ids, lie in it.
with sampled_movies as (
    select code
    from movie_codes
    order by hash(movie_id), movie_id
    limit 2000
),

products as (
    select output_activation(array_inner_product(user_codes.code, movies.code)) as predicted
    from user_codes
    cross join sampled_movies as movies
    where user_codes.user_id in (select batch.user_id from batch)
),

halves as (
    select
        floor(
            2 * greatest(
                prediction_scale.lowest,
                least(prediction_scale.highest, products.predicted)
            )::double
        ) / 2 as half,
        count(*) as num_rows
    from products
    cross join prediction_scale
    group by half
)

select
    printf('%.1f', half) as bucket,
    num_rows
from halves;
