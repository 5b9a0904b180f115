-- One row a bundle and member: what it adds to the bundle's predictions, and how it was chosen.
create table if not exists members (
    bundle_id varchar not null,
    name varchar not null,
    weight double not null,
    num_epochs integer not null,
    best_epoch integer not null,
    fold_in_ridge double not null,
    dev_rmse double
);
