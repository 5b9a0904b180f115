-- One row a user: movie indexes in ascending order and the ratings beside them.
create table if not exists user_vectors (
    user_index integer not null,
    user_id bigint not null,
    movie_indexes integer[] not null,
    ratings float[] not null
);
