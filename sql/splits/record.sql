-- One new row: a split that has been applied, with the days its training ratings span.
insert into splits (
    split_id, definition, data_digest, first_train_day, last_train_day, built_at
)
values ($split_id, $definition, $data_digest, $first_train_day, $last_train_day, $built_at);
