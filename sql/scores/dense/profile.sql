-- One row a half rating: how many predictions of the sampled users of `batch` lie in it.
select
    printf('%.1f', floor(2 * predicted_rating::double) / 2) as bucket,
    count(*) as num_rows
from predicted_ratings
where user_id in (select batch.user_id from batch)
group by bucket;
