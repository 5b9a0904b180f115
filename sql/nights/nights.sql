-- One row a night, newest first.
select
    night_id,
    night_of,
    status,
    started_at,
    finished_at,
    num_arrived
from nights
order by started_at desc
limit $num_nights;
