-- Fills `users`, one row a user who is listed or has rated, with dense indexes in order of id.
insert into users (user_index, user_id)
with known as (
    select user_id from user_rows
    union
    select user_id from ratings
    group by user_id
)

select
    row_number() over (order by user_id) - 1 as user_index,
    user_id
from known
order by user_id;
