-- One row: the shards of this run in this file, and all its users.
select
    (select count(*) from scoring_shards where shard >= 0) as num_shards,
    (select count(*) from users) as num_users;
