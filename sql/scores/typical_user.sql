-- One row: a user with as many ratings as the one in the middle.
with middle as (
    select quantile_disc(num_ratings, 0.5) as num_ratings
    from users
)

select min(users.user_id) as user_id
from users
inner join middle on users.num_ratings = middle.num_ratings;
