-- One row a published run, quantity and bucket, oldest first.
select
    run_id,
    quantity,
    bucket,
    num_rows
from profiles
order by taken_at, quantity, bucket;
