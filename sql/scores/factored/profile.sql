-- One row a half rating: how many predictions of the sampled users of `batch` lie in it.
with products as (
    select output_activation(array_inner_product(user_codes.code, movie_codes.code)) as predicted
    from user_codes
    cross join movie_codes
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
