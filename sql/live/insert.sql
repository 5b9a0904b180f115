-- One new row a rating that came, unless it was measured before.
insert into live_ratings
select
    $measured_on as measured_on,
    $run_id as run_id,
    $bundle_id as bundle_id,
    user_id,
    movie_id,
    rating,
    rated_at,
    predicted_rating,
    predicted_by,
    num_user_ratings,
    num_movie_ratings
from batch
anti join live_ratings using (user_id, movie_id);
