-- One row a file taken in: what it was then.
select
    path,
    file_id,
    size_bytes,
    sha256,
    layout,
    role,
    source,
    rows_kept
from source_files;
