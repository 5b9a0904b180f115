-- At most one row: the bundle that was trained last from exactly these inputs.
select bundle_id
from models
where fingerprint = $fingerprint
order by trained_at desc
limit 1;
