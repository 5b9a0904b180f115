-- One row a rating that occurs: how often.
select
    printf('%g', rating) as bucket,
    count(*) as num_rows
from ratings
group by bucket;
