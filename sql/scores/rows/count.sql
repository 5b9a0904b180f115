-- One row: the predictions that are really there.
select count(*) as num_predictions
from predicted_ratings;
