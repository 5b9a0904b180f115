-- One row a pair of `batch`: what is predicted of it here, null where nothing is. Codes are joined
-- from inside: DuckDB 2.0 misreads the arrays of rows that an outer join leaves empty.
with predicted as (
    select
        batch.user_id,
        batch.movie_id,
        greatest(
            prediction_scale.lowest,
            least(
                prediction_scale.highest,
                output_activation(array_inner_product(user_codes.code, movie_codes.code))
            )
        )::decimal(9, 2) as predicted_rating
    from batch
    inner join user_codes using (user_id)
    inner join movie_codes using (movie_id)
    cross join prediction_scale
)

select
    batch.user_id,
    batch.movie_id,
    batch.rating,
    batch.rated_at,
    predicted.predicted_rating::double as predicted_rating,
    if(users.predicted_by = 'bias' or movies.predicted_by = 'bias', 'bias', 'model')
        as predicted_by,
    users.num_ratings as num_user_ratings,
    movies.num_train_ratings as num_movie_ratings
from batch
left join predicted using (user_id, movie_id)
left join users using (user_id)
left join movies using (movie_id);
