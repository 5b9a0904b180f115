-- At most one row: the split, if it has been applied to these ratings, and its training days.
select
    first_train_day,
    last_train_day
from splits
where split_id = $split_id and data_digest = $data_digest;
