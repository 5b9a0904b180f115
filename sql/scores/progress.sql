-- One row: the shards of this run in this file, and all its users.
with scored as (
    select count(*) as num_shards
    from scoring_shards
    where shard >= 0
)

select
    scored.num_shards,
    (select count(*) from users) as num_users
from scored;
