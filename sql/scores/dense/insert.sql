-- One new row a user of a shard and block of movies.
insert into rating_blocks (user_id, block, ratings)
select
    user_id,
    block,
    ratings
from batch;
