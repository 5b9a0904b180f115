-- One new row a file, as it was known.
insert into source_files (
    file_id,
    path,
    source,
    role,
    format,
    layout,
    size_bytes,
    sha256,
    rows_read,
    rows_kept,
    rows_replaced,
    rows_rejected,
    ingested_at
)
select
    file_id,
    path,
    source,
    role,
    format,
    layout,
    size_bytes,
    sha256,
    rows_read,
    rows_kept,
    rows_replaced,
    rows_rejected,
    ingested_at
from batch;
