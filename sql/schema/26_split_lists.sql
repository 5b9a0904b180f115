-- One row a split and part that a file lists: the pairs it lists, each counted once, those it
-- repeats, and those that have no rating.
create table if not exists split_lists (
    split_id varchar not null,
    part split_part not null,
    num_pairs bigint not null,
    num_repeated bigint not null,
    num_absent bigint not null
);
