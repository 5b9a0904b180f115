-- One row a usable line of some users files, retired or not.
with everything as (
    select * from user_rows
    union all
    select * from retired_user_rows
)

select *
from everything
where file_id in (select unnest($file_ids));
