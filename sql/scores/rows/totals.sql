-- One row: how many predictions are here, their sum in hundredths, which is exact, and both ends.
select
    count(*) as num_predictions,
    count(*) as num_rows,
    coalesce(100 * sum(predicted_rating), 0)::hugeint as checksum,
    min(predicted_rating) as lowest_found,
    max(predicted_rating) as highest_found
from predicted_ratings;
