-- One row a rating that came after its prediction was published: what was published of it before,
-- null where nothing was, and what was known of its user and movie then.
create table if not exists live_ratings (
    measured_on date not null,
    run_id varchar not null,
    bundle_id varchar not null,
    user_id bigint not null,
    movie_id bigint not null,
    rating float not null,
    rated_at timestamp,
    predicted_rating double,
    predicted_by varchar,
    num_user_ratings bigint,
    num_movie_ratings bigint
);
