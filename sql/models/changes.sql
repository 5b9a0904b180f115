-- One row a change of a bundle's status, in order.
select
    bundle_id,
    status,
    changed_at,
    changed_by,
    reason
from model_changes
order by change_id;
