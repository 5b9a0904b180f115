-- Enters how a run has ended.
update scoring_runs
set
    status = $status,
    finished_at = $finished_at
where run_id = $run_id;
