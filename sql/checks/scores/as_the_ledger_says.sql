-- Zero rows = healthy: the rows that are here are those that the shards entered.
with entered as (
    select
        coalesce(sum(num_users), 0) as num_users,
        coalesce(sum(num_rows), 0) as num_rows,
        coalesce(sum(checksum), 0) as checksum
    from scoring_shards
),

found as (
    select
        count(*) as num_users,
        $num_rows::hugeint as num_rows,
        $checksum::hugeint as checksum
    from users
)

select
    entered.num_users as users_entered,
    found.num_users as users_found,
    entered.num_rows as rows_entered,
    found.num_rows as rows_found,
    entered.checksum as checksum_entered,
    found.checksum as checksum_found
from entered
cross join found
where
    entered.num_users != found.num_users
    or entered.num_rows != found.num_rows
    or entered.checksum != found.checksum;
