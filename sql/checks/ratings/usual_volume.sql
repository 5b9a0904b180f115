-- Zero rows = healthy: as many new ratings as on recent nights, by and large. Fewer than three
-- nights with new ratings are no habit yet.
with recent as (
    select num_arrived
    from nights
    where night_id != $night_id and num_arrived > 0
    order by started_at desc
    limit 14
),

usual as (
    select
        median(num_arrived) as median_arrived,
        count(*) as num_nights
    from recent
)

select
    $num_arrived::bigint as num_arrived,
    usual.median_arrived
from usual
where
    usual.num_nights >= 3
    and $num_arrived::bigint > 0
    and (
        $num_arrived::bigint < $min_volume_ratio * usual.median_arrived
        or $num_arrived::bigint > $max_volume_ratio * usual.median_arrived
    );
