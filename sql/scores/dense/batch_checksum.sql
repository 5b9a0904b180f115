-- One row: how many predictions `batch` has, and their sum in hundredths, which is exact.
with predictions as (
    select unnest(ratings) as predicted_rating
    from batch
)

select
    count(*) as num_rows,
    coalesce(100 * sum(predicted_rating), 0)::hugeint as checksum
from predictions;
