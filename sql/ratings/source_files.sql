-- One row a file taken in: what it was then.
select
    path,
    file_id,
    size_bytes,
    sha256,
    layout,
    role
from source_files;
