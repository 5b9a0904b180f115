-- One row an epoch of a bundle, in order.
select
    epoch,
    train_rmse,
    dev_rmse,
    learning_rate,
    seconds
from epochs
where bundle_id = $bundle_id
order by epoch;
