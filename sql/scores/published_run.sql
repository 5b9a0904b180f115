-- One row: the run that this file publishes.
select
    run_id,
    bundle_id
from scoring_runs
where status = 'published'
order by started_at desc
limit 1;
