-- At most one row: the bundle that was trained last.
select bundle_id
from models
order by trained_at desc, bundle_id desc
limit 1;
