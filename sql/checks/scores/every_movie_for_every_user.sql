-- Zero rows = healthy: every user has every block of movies once, whole, of predictions on the
-- scale, which are looked through only if one of their ends is off it. Their sum is the ledger's.
with sizes as (
    select
        block,
        count(*) as num_movies
    from movie_places
    group by block
),

by_user as (
    select
        rating_blocks.user_id,
        count(*) as num_blocks,
        count(distinct rating_blocks.block) as num_different,
        count(*) filter (where len(rating_blocks.ratings) = sizes.num_movies) as num_whole
    from rating_blocks
    left join sizes using (block)
    group by rating_blocks.user_id
),

predictions as (
    select
        user_id,
        unnest(ratings) as predicted_rating
    from rating_blocks
),

off_the_scale as (
    select distinct user_id
    from predictions
    where
        ($lowest_found < $lowest::decimal(9, 2) or $highest_found > $highest::decimal(9, 2))
        and predicted_rating not between $lowest::decimal(9, 2) and $highest::decimal(9, 2)
)

select
    coalesce(users.user_id, by_user.user_id) as user_id,
    by_user.num_blocks,
    by_user.num_different,
    by_user.num_whole,
    off_the_scale.user_id is not null as is_off_the_scale
from users
full outer join by_user on users.user_id = by_user.user_id
left join off_the_scale on by_user.user_id = off_the_scale.user_id
where
    users.user_id is null
    or by_user.num_blocks is distinct from (select count(*) from sizes)
    or least(by_user.num_different, by_user.num_whole) < by_user.num_blocks
    or off_the_scale.user_id is not null;
