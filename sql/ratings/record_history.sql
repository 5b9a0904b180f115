-- One new row: nothing that was known only before the last of these files was retired is here.
insert into history (forgotten_before)
select max(retired_at) as forgotten_before
from retired_source_files
where file_id in (select batch.file_id from batch)
having max(retired_at) is not null;
