-- One row a line of some files that could not be used, retired or not.
with everything as (
    select * from rejected_rows
    union all
    select * from retired_rejected_rows
)

select *
from everything
where file_id in (select unnest($file_ids));
