-- One row a user of a list of indexes, in index order: his whole vector with its days.
select
    user_id,
    movie_indexes,
    ratings,
    rating_days
from user_vectors
where user_index in (select unnest($user_indexes))
order by user_index;
