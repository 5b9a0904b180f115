-- One row a bundle trained here.
create table if not exists models (
    bundle_id varchar not null,
    fingerprint varchar not null,
    name varchar not null,
    split_id varchar not null,
    data_digest varchar not null,
    first_train_day date,
    last_train_day date,
    num_train_ratings bigint not null,
    seed bigint not null,
    device varchar not null,
    dev_rmse double,
    largest_difference double not null,
    trained_at timestamp not null,
    requested_at timestamp not null
);
