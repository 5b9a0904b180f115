-- One row a split and union of parts that a publication may count as one side of its split.
create table if not exists split_unions (
    split_id varchar not null,
    parts split_part[] not null,
    num_ratings bigint not null,
    num_users bigint not null,
    num_movies bigint not null
);
