-- One new row, unless one is left: nothing known only before the last of these files was retired is
-- here.
insert into history (forgotten_before)
select max(retired_at) as forgotten_before
from retired_source_files
where file_id in (select batch.file_id from batch) and not exists (from history)
having max(retired_at) is not null;
