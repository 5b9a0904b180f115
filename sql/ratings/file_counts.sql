-- One row a file taken in: where its rows are.
select
    file_id,
    rows_kept,
    rows_replaced
from source_files;
