-- One new row: a shard whose rows are in this file.
insert into scoring_shards (shard, num_users, num_predictions, num_rows, checksum)
values ($shard, $num_users, $num_predictions, $num_rows, $checksum);
