-- One row a bucket of a quantity in a run's profile.
select
    bucket,
    num_rows
from profiles
where run_id = $run_id and quantity = $quantity;
