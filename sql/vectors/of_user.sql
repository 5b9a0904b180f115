-- At most one row: a user's whole vector with its days.
select
    user_id,
    movie_indexes,
    ratings,
    rating_days
from user_vectors
where user_id = $user_id;
