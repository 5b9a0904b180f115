-- One new row: a run has taken the published file's place again.
insert into publications (run_id, bundle_id, published_at, published_by)
values ($run_id, $bundle_id, $published_at, $published_by);
