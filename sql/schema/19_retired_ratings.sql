-- One row a rating of a retired file, whether it stood or had lost to a later one.
create table if not exists retired_ratings (
    user_id bigint not null,
    movie_id bigint not null,
    rating float not null,
    rated_at timestamp,
    file_id integer not null,
    line_number bigint not null
);
