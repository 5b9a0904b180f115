-- One row a file that was known at a moment, as it was then.
select *
from source_files
where ingested_at <= $moment
union all
select * exclude (retired_at)
from retired_source_files
where ingested_at <= $moment and retired_at > $moment
order by file_id;
