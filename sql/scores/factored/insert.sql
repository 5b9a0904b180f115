-- One new row a user of a shard.
insert into user_codes (user_id, code, by_model)
select
    user_id,
    code,
    by_model
from batch;
