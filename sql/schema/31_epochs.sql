-- One row a bundle, member and epoch.
create table if not exists epochs (
    bundle_id varchar not null,
    member varchar not null,
    epoch integer not null,
    train_rmse double not null,
    dev_rmse double,
    test_rmse double,
    learning_rate double not null,
    seconds double not null
);
