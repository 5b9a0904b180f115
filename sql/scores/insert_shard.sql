-- One new row: a shard whose predictions are in this file.
insert into scoring_shards (shard, num_users, num_predictions)
values ($shard, $num_users, $num_predictions);
