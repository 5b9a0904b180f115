-- One row a doubling of the number of ratings: how many users have as many.
with counted as (
    select
        users.user_id,
        count(ratings.movie_id) as num_ratings
    from users
    left join ratings using (user_id)
    group by users.user_id
)

select
    printf('%d', floor(log2(1 + num_ratings))::integer) as bucket,
    count(*) as num_rows
from counted
group by bucket;
