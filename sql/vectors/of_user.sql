-- At most one row: a user's whole vector.
select
    user_id,
    movie_indexes,
    ratings
from user_vectors
where user_id = $user_id;
