-- One row a part that has a list, in the order of the type.
select
    part,
    num_pairs,
    num_repeated,
    num_absent
from split_lists
where split_id = $split_id
order by part;
