-- At most one row: the bundle whose training was asked for last.
select bundle_id
from models
order by requested_at desc, bundle_id desc
limit 1;
