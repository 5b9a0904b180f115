-- One row a user: movie indexes in ascending order, and beside them the ratings and the days
-- they were given on, in whole days since 1970-01-01; null where a rating has no date.
create table if not exists user_vectors (
    user_index integer not null,
    user_id bigint not null,
    movie_indexes integer[] not null,
    ratings float[] not null,
    rating_days integer[] not null
);
