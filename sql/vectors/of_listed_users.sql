-- One row a user of a list of indexes, in index order: his whole vector.
select
    user_id,
    movie_indexes,
    ratings
from user_vectors
where user_index in (select unnest($user_indexes))
order by user_index;
