-- One row a user of an index range, in index order: what a split needs of his vector.
select
    user_index,
    user_id,
    movie_indexes,
    rating_days
from user_vectors
where user_index >= $first_user and user_index < $end_user
order by user_index;
