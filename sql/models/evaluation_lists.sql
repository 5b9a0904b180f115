-- One row a part and predictor: the lists of a bundle's newest evaluation on each part.
with newest as (
    select
        part,
        max(evaluated_at) as evaluated_at
    from evaluations
    where bundle_id = $bundle_id
    group by part
)

select
    lists_of,
    top_n,
    num_users,
    recall,
    ndcg,
    coverage,
    rarely_rated,
    part
from evaluation_lists
inner join newest using (part, evaluated_at)
where bundle_id = $bundle_id
order by part asc, ndcg desc;
