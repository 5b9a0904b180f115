-- Makes `users`, one row a user: how much is known of him, what predicts his ratings, and the
-- digest of the vector that they were made of.
create table if not exists users (
    user_id bigint not null,
    num_ratings bigint not null,
    predicted_by varchar not null,
    vector_digest ubigint not null
);
