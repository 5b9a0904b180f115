-- One row a doubling of the number of ratings: how many users have as many.
with counted as (
    select
        user_id,
        count(*) as num_ratings
    from ratings
    group by user_id
),

doublings as (
    select
        users.user_id,
        floor(log2(1 + coalesce(counted.num_ratings, 0)))::integer as doubling
    from users
    left join counted using (user_id)
)

select
    printf('%d', doubling) as bucket,
    count(*) as num_rows
from doublings
group by bucket;
