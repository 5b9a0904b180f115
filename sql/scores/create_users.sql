-- Makes `users`, one row a user: how much is known of him, and what predicts his ratings.
create table if not exists users (
    user_id bigint not null,
    num_ratings bigint not null,
    predicted_by varchar not null
);
