-- One new row: an epoch of a bundle's training.
insert into epochs (bundle_id, epoch, train_rmse, dev_rmse, learning_rate, seconds)
values ($bundle_id, $epoch, $train_rmse, $dev_rmse, $learning_rate, $seconds);
