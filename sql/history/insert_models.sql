-- One new row a bundle.
insert into models (
    bundle_id,
    fingerprint,
    name,
    split_id,
    data_digest,
    first_train_day,
    last_train_day,
    num_train_ratings,
    seed,
    device,
    dev_rmse,
    largest_difference,
    trained_at,
    requested_at
)
select
    bundle_id,
    fingerprint,
    name,
    split_id,
    data_digest,
    first_train_day,
    last_train_day,
    num_train_ratings,
    seed,
    device,
    dev_rmse,
    largest_difference,
    trained_at,
    requested_at
from batch;
