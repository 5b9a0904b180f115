-- Keeps apart what some files were, before they are removed from `source_files`.
insert into retired_source_files (
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
    ingested_at,
    retired_at
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
    ingested_at,
    $retired_at as retired_at
from source_files
where file_id in (select batch.file_id from batch);
