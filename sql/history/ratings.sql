-- One row a rating of some files, standing, superseded or retired.
with everything as (
    select * from ratings
    union all
    select * from superseded_ratings
    union all
    select * from retired_ratings
)

select *
from everything
where file_id in (select unnest($file_ids));
