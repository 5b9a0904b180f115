-- One row a user who is listed or has rated; user_index is dense, 0-based, in order of user_id.
create table if not exists users (
    user_index integer not null,
    user_id bigint not null
);
