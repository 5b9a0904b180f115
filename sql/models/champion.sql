-- At most one row: the bundle that scores.
select bundle_id
from registry
where status = 'champion';
