-- One new row, unless another run has entered it meanwhile: a cell that has ended.
insert into experiment_cells (
    experiment, system, protocol, data, data_digest, split_id, seed, config_digest,
    fingerprint, overrides, machine, bundle_id, status, message, num_epochs, best_epoch,
    num_test_ratings, dev_rmse, dev_rmse_bias, test_rmse, test_mae, test_rmse_bias,
    oracle_test_rmse, seconds, finished_at
)
values (
    $experiment, $system, $protocol, $data, $data_digest, $split_id, $seed, $config_digest,
    $fingerprint, $overrides, $machine, $bundle_id, $status, $message, $num_epochs,
    $best_epoch, $num_test_ratings, $dev_rmse, $dev_rmse_bias, $test_rmse, $test_mae,
    $test_rmse_bias, $oracle_test_rmse, $seconds, $finished_at
)
on conflict (fingerprint) do nothing;
