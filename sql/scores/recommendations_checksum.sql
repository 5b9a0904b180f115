-- One row: how many recommendations are here, and the sum of their hashes.
select
    count(*) as num_rows,
    coalesce(
        sum(
            hash(
                user_id::bigint,
                rank::integer,
                movie_id::bigint,
                predicted_rating::decimal(9, 2)
            )
        ),
        0
    )::hugeint as checksum
from recommendations;
