-- One row: the shards in this file, their users, and the predictions that are really there.
select
    (select count(*) from scoring_shards) as num_shards,
    (select count(*) from users) as num_users,
    (select count(*) from predicted_ratings) as num_predictions;
