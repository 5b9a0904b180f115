-- One row a split and part that is not empty.
create table if not exists split_counts (
    split_id varchar not null,
    part split_part not null,
    num_ratings bigint not null,
    num_users bigint not null,
    num_movies bigint not null
);
