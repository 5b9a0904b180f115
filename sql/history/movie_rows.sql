-- One row a usable line of some movies files, retired or not.
with everything as (
    select * from movie_rows
    union all
    select * from retired_movie_rows
)

select *
from everything
where file_id in (select unnest($file_ids));
