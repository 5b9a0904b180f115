-- One row a file that was retired before a moment and is not what the vectors were built from:
-- who is touched, and what has arrived, is found out from those.
select file_id
from retired_source_files
anti join vector_files using (file_id)
where retired_at < $moment;
