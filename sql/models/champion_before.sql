-- At most one row: the bundle that was champion last before the one that is.
select bundle_id
from model_changes
where
    status = 'champion'
    and bundle_id not in (select registry.bundle_id from registry where registry.status = 'champion')
order by change_id desc
limit 1;
