-- At most one row: the run that is published, by the warehouse's account.
select
    publications.run_id,
    publications.bundle_id,
    publications.published_at,
    scoring_runs.fingerprint
from publications
inner join scoring_runs using (run_id)
order by publications.published_at desc
limit 1;
