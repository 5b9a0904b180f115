-- One row a user in index order: how many ratings he has.
with counted as (
    select
        user_id,
        count(*) as num_ratings
    from ratings
    group by user_id
)

select
    users.user_index,
    users.user_id,
    coalesce(counted.num_ratings, 0) as num_ratings
from users
left join counted using (user_id)
order by users.user_index;
