-- One row an epoch of a bundle, member by member.
select
    member,
    epoch,
    train_rmse,
    dev_rmse,
    test_rmse,
    learning_rate,
    seconds
from epochs
where bundle_id = $bundle_id
order by member, epoch;
