-- One new row, unless it is there: a scoring run that has begun.
insert into scoring_runs (
    run_id,
    bundle_id,
    data_digest,
    fingerprint,
    manifest,
    status,
    started_at,
    num_users,
    num_movies,
    num_predictions,
    num_recommendations,
    num_bias_users,
    num_bias_movies
)
select
    $run_id as run_id,
    $bundle_id as bundle_id,
    $data_digest as data_digest,
    $fingerprint as fingerprint,
    $manifest as manifest,
    'running' as status,
    $started_at as started_at,
    $num_users as num_users,
    $num_movies as num_movies,
    0 as num_predictions,
    0 as num_recommendations,
    0 as num_bias_users,
    0 as num_bias_movies
where $run_id not in (select scoring_runs.run_id from scoring_runs);
