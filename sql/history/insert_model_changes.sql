-- One new row a change of a bundle's status.
insert into model_changes (
    change_id,
    bundle_id,
    status,
    changed_at,
    changed_by,
    reason
)
select
    change_id,
    bundle_id,
    status,
    changed_at,
    changed_by,
    reason
from batch;
