-- At most one row: the bundle that was champion last before the one that is.
with champions as (
    select
        bundle_id,
        max(change_id) as change_id
    from model_changes
    where status = 'champion'
    group by bundle_id
)

select champions.bundle_id
from champions
inner join registry using (bundle_id)
where registry.status != 'champion'
order by champions.change_id desc
limit 1;
