-- At most one row: what has become of a bundle.
select status
from registry
where bundle_id = $bundle_id;
