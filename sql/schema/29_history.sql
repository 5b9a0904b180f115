-- At most one row: the moment before which nothing can be put together again, since files that
-- were known then have been forgotten.
create table if not exists history (
    forgotten_before timestamp not null
);
