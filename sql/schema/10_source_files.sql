-- One row a file taken in: what it was, and where each of its rows went.
create table if not exists source_files (
    file_id integer not null,
    path varchar not null,
    source varchar not null,
    role varchar not null check (role in ('ratings', 'movies', 'users')),
    format varchar not null,
    layout varchar not null,
    size_bytes bigint not null,
    sha256 varchar not null,
    rows_read bigint not null,
    rows_kept bigint not null,
    rows_replaced bigint not null,
    rows_rejected bigint not null,
    ingested_at timestamp not null,
    check (rows_read = rows_kept + rows_replaced + rows_rejected)
);
