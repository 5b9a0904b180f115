-- One row: how many ratings have no date.
select count(*) as num_undated
from ratings
where rated_at is null;
