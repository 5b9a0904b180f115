-- One new row a user of a shard.
insert into user_codes (user_id, code)
select
    user_id,
    code
from batch;
