-- One new row a user of a shard.
insert into users (user_id, num_ratings, predicted_by, vector_digest)
select
    user_id,
    num_ratings,
    if(is_known, 'model', 'bias') as predicted_by,
    vector_digest
from batch;
