-- One row a state of a file that either the vectors were built from or the ratings hold, not
-- both; `is_known` while its rows are still here, standing or retired.
select
    coalesce(vector_files.file_id, source_files.file_id) as file_id,
    source_files.file_id is not null or retired_source_files.file_id is not null as is_known
from vector_files
full outer join source_files on vector_files.file_id = source_files.file_id
left join retired_source_files on vector_files.file_id = retired_source_files.file_id
where vector_files.file_id is null or source_files.file_id is null;
