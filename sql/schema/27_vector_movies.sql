-- One row a movie, with the index that it has in `user_vectors`.
create table if not exists vector_movies (
    movie_index integer not null,
    movie_id bigint not null
);
