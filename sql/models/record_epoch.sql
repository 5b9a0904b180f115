-- One new row: an epoch of one member's training.
insert into epochs (
    bundle_id, member, epoch, train_rmse, dev_rmse, test_rmse, learning_rate, seconds
)
values (
    $bundle_id, $member, $epoch, $train_rmse, $dev_rmse, $test_rmse, $learning_rate, $seconds
);
