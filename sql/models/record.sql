-- One new row: a bundle trained here.
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
values (
    $bundle_id,
    $fingerprint,
    $name,
    $split_id,
    $data_digest,
    $first_train_day,
    $last_train_day,
    $num_train_ratings,
    $seed,
    $device,
    $dev_rmse,
    $largest_difference,
    $trained_at,
    $trained_at
);
