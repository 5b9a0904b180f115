-- Zero rows = healthy: every user has as many predictions as there are movies, on the scale. That
-- they are those which were computed is what the ledger says.
with by_user as (
    select
        user_id,
        count(*) as num_movies,
        min(predicted_rating) as lowest,
        max(predicted_rating) as highest
    from predicted_ratings
    group by user_id
)

select
    coalesce(users.user_id, by_user.user_id) as user_id,
    by_user.num_movies,
    by_user.lowest,
    by_user.highest
from users
full outer join by_user on users.user_id = by_user.user_id
where
    users.user_id is null
    or by_user.num_movies is distinct from $num_movies
    or by_user.lowest < $lowest::decimal(9, 2)
    or by_user.highest > $highest::decimal(9, 2);
