-- One row: the user with the most ratings.
select user_id
from users
order by num_ratings desc, user_id asc
limit 1;
