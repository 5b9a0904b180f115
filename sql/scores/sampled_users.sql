-- One row a user of a sample by hash, the same one as long as the users are the same.
select user_id
from users
order by hash(user_id)
limit $num_users;
