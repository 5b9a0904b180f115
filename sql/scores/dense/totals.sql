-- One row: how many predictions are here, their sum in hundredths, which is exact, and both ends.
with predictions as (
    select unnest(ratings) as predicted_rating
    from rating_blocks
)

select
    count(*) as num_predictions,
    count(*) as num_rows,
    coalesce(100 * sum(predicted_rating), 0)::hugeint as checksum,
    min(predicted_rating) as lowest_found,
    max(predicted_rating) as highest_found
from predictions;
