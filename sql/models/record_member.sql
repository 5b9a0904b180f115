-- One new row: a member of a bundle.
insert into members (bundle_id, name, weight, num_epochs, best_epoch, fold_in_ridge, dev_rmse)
values ($bundle_id, $name, $weight, $num_epochs, $best_epoch, $fold_in_ridge, $dev_rmse);
