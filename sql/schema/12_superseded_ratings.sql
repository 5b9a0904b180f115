-- One row a rating that a later one of the same user and movie replaced; kept so that it
-- returns when the later one goes.
create table if not exists superseded_ratings (
    user_id bigint not null,
    movie_id bigint not null,
    rating float not null,
    rated_at timestamp,
    file_id integer not null,
    line_number bigint not null
);
