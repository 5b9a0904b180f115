-- One row a user of an index range, in index order: his vector with its days, and the part of
-- each of its ratings.
select
    user_vectors.user_id,
    user_vectors.movie_indexes,
    user_vectors.ratings,
    user_vectors.rating_days,
    coalesce(split_vectors.parts, []) as parts
from user_vectors
left join split_vectors
    on
        user_vectors.user_index = split_vectors.user_index
        and split_vectors.split_id = $split_id
        and split_vectors.user_index >= $first_user
        and split_vectors.user_index < $end_user
where user_vectors.user_index >= $first_user and user_vectors.user_index < $end_user
order by user_vectors.user_index;
