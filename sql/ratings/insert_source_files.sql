-- One new row a file that was read; none of its rows has lost to a later one yet.
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
    $source as source,
    role,
    format,
    layout,
    size_bytes,
    sha256,
    num_good + rows_rejected as rows_read,
    num_good as rows_kept,
    0 as rows_replaced,
    rows_rejected,
    $ingested_at as ingested_at
from batch;
