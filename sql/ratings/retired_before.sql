-- One row a file that was retired before a moment.
select file_id
from retired_source_files
where retired_at < $moment;
