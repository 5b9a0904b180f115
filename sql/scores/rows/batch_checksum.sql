-- One row: how many predictions `batch` has, and their sum in hundredths, which is exact.
select
    count(*) as num_rows,
    coalesce(100 * sum(predicted_rating), 0)::hugeint as checksum
from batch;
