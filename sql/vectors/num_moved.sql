-- One row: the movies and users of the vectors that have another index by now.
with moved_movies as (
    select vector_movies.movie_id
    from vector_movies
    inner join movies using (movie_id)
    where vector_movies.movie_index != movies.movie_index
),

moved_users as (
    select user_vectors.user_id
    from user_vectors
    inner join users using (user_id)
    where user_vectors.user_index != users.user_index
)

select
    (select count(*) from moved_movies)
    + (select count(*) from moved_users) as num_moved;
