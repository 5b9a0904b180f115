-- One row: how many users there are, and their lowest and highest id.
select
    count(*) as num_users,
    min(user_id) as first_user,
    max(user_id) as last_user
from users;
