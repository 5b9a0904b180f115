-- One row: how many rows of users' codes `batch` has, and the sum of their hashes.
select
    count(*) as num_rows,
    coalesce(sum(hash(user_id, code)), 0)::hugeint as checksum
from batch;
