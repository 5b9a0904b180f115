-- Makes `scoring_runs`, one row a run up to this one, which is published in this file.
create or replace table scoring_runs as
select
    run_id,
    bundle_id,
    data_digest,
    if(run_id = $run_id, 'published', status) as status,
    started_at,
    if(run_id = $run_id, current_timestamp::timestamp, finished_at) as finished_at,
    num_users,
    num_movies,
    num_predictions,
    num_recommendations,
    num_bias_users,
    num_bias_movies
from batch
order by started_at;
