-- One row a user and movie: the rating with the latest date, and the line it came from.
create table if not exists ratings (
    user_id bigint not null,
    movie_id bigint not null,
    rating float not null,
    rated_at timestamp,
    file_id integer not null,
    line_number bigint not null
);
