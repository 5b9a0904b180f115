-- One row a split that has been applied: its definition and the ratings it divided.
create table if not exists splits (
    split_id varchar not null,
    definition varchar not null,
    data_digest varchar not null,
    first_train_day date,
    last_train_day date,
    built_at timestamp not null
);
