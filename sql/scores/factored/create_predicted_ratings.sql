-- Makes the view `predicted_ratings`, one row a user and movie, computed when it is read.
create or replace view predicted_ratings as
with products as (
    select
        user_codes.user_id,
        movie_codes.movie_id,
        array_inner_product(user_codes.code, movie_codes.code) as product
    from user_codes
    cross join movie_codes
)

select
    products.user_id,
    products.movie_id,
    greatest(
        prediction_scale.lowest,
        least(
            prediction_scale.highest,
            output_activation(products.product)
        )
    )::decimal(9, 2) as predicted_rating
from products
cross join prediction_scale;
