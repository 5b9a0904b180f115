-- One row: the run that this file publishes.
select
    run_id,
    bundle_id,
    finished_at,
    num_users,
    num_movies,
    num_predictions
from scoring_runs
where status = 'published'
order by started_at desc
limit 1;
