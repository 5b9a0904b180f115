-- At most one row: the bundle trained last, and when.
select
    bundle_id,
    trained_at
from models
order by trained_at desc
limit 1;
