-- One row a user of an index range, in index order: his whole vector with its days.
select
    user_id,
    movie_indexes,
    ratings,
    rating_days
from user_vectors
where user_index >= $first_user and user_index < $end_user
order by user_index;
