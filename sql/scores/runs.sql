-- One row a scoring run, oldest first.
select
    run_id,
    bundle_id,
    data_digest,
    status,
    started_at,
    finished_at,
    num_users,
    num_movies,
    num_predictions,
    num_recommendations,
    num_bias_users,
    num_bias_movies
from scoring_runs
order by started_at;
