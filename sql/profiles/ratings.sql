-- One row a rating that occurs: how often.
with counted as (
    select
        rating,
        count(*) as num_rows
    from ratings
    group by rating
)

select
    printf('%g', rating) as bucket,
    sum(num_rows)::bigint as num_rows
from counted
group by bucket;
