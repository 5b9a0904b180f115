-- One new row: what has become of a bundle.
insert into model_changes (change_id, bundle_id, status, changed_at, changed_by, reason)
select
    (select coalesce(max(change_id), 0) + 1 from model_changes) as change_id,
    $bundle_id as bundle_id,
    $status as status,
    $changed_at as changed_at,
    $changed_by as changed_by,
    $reason as reason;
