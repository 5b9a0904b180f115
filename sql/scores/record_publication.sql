-- One new row: a run has taken the published file's place, for the first time.
insert into publications (run_id, bundle_id, published_at, published_by)
select
    $run_id as run_id,
    $bundle_id as bundle_id,
    $published_at as published_at,
    $published_by as published_by
where $run_id not in (select publications.run_id from publications);
