-- Zero rows = healthy: no user is recommended a movie that he has rated.
select
    batch.user_id,
    batch.rank,
    batch.movie_id
from batch
inner join user_vectors using (user_id)
inner join vector_movies using (movie_id)
where list_contains(user_vectors.movie_indexes, vector_movies.movie_index);
