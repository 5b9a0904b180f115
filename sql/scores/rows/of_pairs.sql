-- One row a pair of `batch`: what is predicted of it here, null where nothing is.
select
    batch.user_id,
    batch.movie_id,
    batch.rating,
    batch.rated_at,
    predicted_ratings.predicted_rating::double as predicted_rating,
    if(users.predicted_by = 'bias' or movies.predicted_by = 'bias', 'bias', 'model')
        as predicted_by,
    users.num_ratings as num_user_ratings,
    movies.num_train_ratings as num_movie_ratings
from batch
left join predicted_ratings using (user_id, movie_id)
left join users using (user_id)
left join movies using (movie_id);
