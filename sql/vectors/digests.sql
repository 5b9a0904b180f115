-- One row a user in index order: a digest of his vector. Vectors that differ in one entry never
-- have the same; the length keeps apart those that differ by entries whose hash is zero.
select
    user_index,
    user_id,
    hash(len(movie_indexes), movie_indexes, ratings) as vector_digest
from user_vectors
order by user_index;
