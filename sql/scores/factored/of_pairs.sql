-- One row a pair of `batch`: what is predicted of it here, null where nothing is.
select
    batch.user_id,
    batch.movie_id,
    batch.rating,
    batch.rated_at,
    greatest(
        prediction_scale.lowest,
        least(
            prediction_scale.highest,
            output_activation(array_inner_product(user_codes.code, movie_codes.code))
        )
    )::decimal(9, 2)::double as predicted_rating,
    if(users.predicted_by = 'bias' or movies.predicted_by = 'bias', 'bias', 'model')
        as predicted_by,
    users.num_ratings as num_user_ratings,
    movies.num_train_ratings as num_movie_ratings
from batch
cross join prediction_scale
left join user_codes using (user_id)
left join movie_codes using (movie_id)
left join users using (user_id)
left join movies using (movie_id);
