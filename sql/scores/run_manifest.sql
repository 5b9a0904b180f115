-- At most one row: what a run was made of, as JSON, and when it began.
select
    manifest,
    started_at
from scoring_runs
where run_id = $run_id;
