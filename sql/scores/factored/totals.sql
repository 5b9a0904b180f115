-- One row: how many predictions the codes here stand for, how many rows of users' codes there are
-- and the sum of their hashes. Where predictions end is not known before they are computed.
select
    count(*) * (select count(*) from movie_codes) as num_predictions,
    count(*) as num_rows,
    coalesce(sum(hash(user_id, code)), 0)::hugeint as checksum,
    null::decimal(9, 2) as lowest_found,
    null::decimal(9, 2) as highest_found
from user_codes;
