-- One row: the predictions that are really there.
select coalesce(sum(len(ratings)), 0)::bigint as num_predictions
from rating_blocks;
