-- One new row a user of a range: the part of each rating, beside his vector.
insert into split_vectors (split_id, user_index, parts)
select
    $split_id as split_id,
    user_index,
    parts
from batch
order by user_index;
