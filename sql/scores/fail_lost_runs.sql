-- Marks as failed every other run that says it is running: only one can be.
update scoring_runs
set
    status = 'failed',
    finished_at = current_timestamp::timestamp
where status = 'running' and run_id != $run_id;
