-- One row a derived relation: the ratings it was built from. `checks` is of those that went
-- through a night's checks last.
create table if not exists materializations (
    relation varchar not null,
    data_digest varchar not null,
    built_at timestamp not null
);
