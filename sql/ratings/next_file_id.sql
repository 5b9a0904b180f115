-- One row: an id that no file taken in has ever had, among those that are remembered.
select
    greatest(
        (select coalesce(max(file_id), -1) from source_files),
        (select coalesce(max(file_id), -1) from retired_source_files),
        (select coalesce(max(file_id), -1) from vector_files)
    ) + 1 as next_file_id;
