-- One row a rating of a user and movie that had none when the vectors were built before: waiting
-- to be held against what is published, which was predicted without it.
create table if not exists arrived_ratings (
    user_id bigint not null,
    movie_id bigint not null,
    rating float not null,
    rated_at timestamp
);
