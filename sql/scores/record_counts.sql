-- Enters what a run is about to publish.
update scoring_runs
set
    num_predictions = $num_predictions,
    num_recommendations = $num_recommendations,
    num_bias_users = $num_bias_users,
    num_bias_movies = $num_bias_movies
where run_id = $run_id;
