-- One row: what a run publishes.
select
    num_recommendations,
    num_bias_users,
    num_bias_movies,
    num_predictions
from scoring_runs
where run_id = $run_id;
