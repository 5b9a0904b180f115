-- One row a half rating: how many predictions of the sampled users of `batch` lie in it.
with halves as (
    select
        floor(2 * predicted_rating::double) / 2 as half,
        count(*) as num_rows
    from predicted_ratings
    where user_id in (select batch.user_id from batch)
    group by half
)

select
    printf('%.1f', half) as bucket,
    num_rows
from halves;
