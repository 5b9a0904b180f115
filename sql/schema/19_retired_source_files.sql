-- One row a file as it no longer is: changed since, or gone. Its rows are in the other `retired_`
-- tables, so that what was known on a past day can be put together again.
create table if not exists retired_source_files (
    file_id integer not null,
    path varchar not null,
    source varchar not null,
    role varchar not null,
    format varchar not null,
    layout varchar not null,
    size_bytes bigint not null,
    sha256 varchar not null,
    rows_read bigint not null,
    rows_kept bigint not null,
    rows_replaced bigint not null,
    rows_rejected bigint not null,
    ingested_at timestamp not null,
    retired_at timestamp not null
);
