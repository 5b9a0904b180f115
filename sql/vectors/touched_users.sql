-- One row a touched user who is still there, in index order.
select users.user_index
from users
semi join touched_users using (user_id)
order by users.user_index;
