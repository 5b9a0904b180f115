-- One row a touched user who is still there, in index order: how many ratings he has.
select
    users.user_index,
    users.user_id,
    count(ratings.user_id) as num_ratings
from users
semi join touched_users using (user_id)
left join ratings using (user_id)
group by users.user_index, users.user_id
order by users.user_index;
