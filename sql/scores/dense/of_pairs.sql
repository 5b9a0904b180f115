-- One row a pair of `batch`: what is predicted of it here, null where nothing is.
select
    batch.user_id,
    batch.movie_id,
    batch.rating,
    batch.rated_at,
    rating_blocks.ratings[movie_places.place]::double as predicted_rating,
    if(users.predicted_by = 'bias' or movies.predicted_by = 'bias', 'bias', 'model')
        as predicted_by,
    users.num_ratings as num_user_ratings,
    movies.num_train_ratings as num_movie_ratings
from batch
left join movie_places using (movie_id)
left join rating_blocks
    on
        batch.user_id = rating_blocks.user_id
        and movie_places.block = rating_blocks.block
left join users on batch.user_id = users.user_id
left join movies on batch.movie_id = movies.movie_id;
