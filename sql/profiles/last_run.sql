-- At most one row: the run of the latest profile.
select run_id
from profiles
order by taken_at desc
limit 1;
