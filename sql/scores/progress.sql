-- One row: the shards in this file, and their users.
select
    (select count(*) from scoring_shards) as num_shards,
    (select count(*) from users) as num_users;
