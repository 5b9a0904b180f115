-- One row a split and user: the part of each rating, beside `user_vectors.ratings`.
create table if not exists split_vectors (
    split_id varchar not null,
    user_index integer not null,
    parts split_part[] not null
);
