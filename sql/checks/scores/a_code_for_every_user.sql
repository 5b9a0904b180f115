-- Zero rows = healthy: every user and every movie has one code, of finite numbers; nobody else has.
with ids as (
    select
        'user' as whose,
        user_id as id
    from users
    union all
    select
        'movie' as whose,
        movie_id as id
    from movies
),

codes as (
    select
        'user' as whose,
        user_id as id,
        isfinite(list_sum(code::float[])) as is_finite
    from user_codes
    union all
    select
        'movie' as whose,
        movie_id as id,
        isfinite(list_sum(code::float[])) as is_finite
    from movie_codes
)

select
    whose,
    id,
    count(codes.is_finite) as num_codes,
    count(*) filter (where codes.is_finite) as num_finite
from ids
full outer join codes using (whose, id)
group by whose, id
having count(ids.id) != 1 or count(*) filter (where codes.is_finite) != 1;
