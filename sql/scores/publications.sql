-- One row each time a run took the published file's place, in order.
select
    run_id,
    bundle_id,
    published_at,
    published_by
from publications
order by published_at;
