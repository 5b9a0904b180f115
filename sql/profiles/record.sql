-- One new row a bucket of a quantity.
insert into profiles (run_id, quantity, bucket, num_rows, taken_at)
select
    $run_id as run_id,
    $quantity as quantity,
    bucket,
    num_rows,
    $taken_at as taken_at
from batch;
