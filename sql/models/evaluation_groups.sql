-- One row a predictor, dimension and bucket of a bundle's newest evaluation on one part, in order.
with newest as (
    select max(evaluated_at) as evaluated_at
    from evaluations
    where bundle_id = $bundle_id and part = $part::split_part
)

select
    predictor,
    dimension,
    bucket,
    num_ratings,
    rmse,
    mae,
    mean_actual,
    mean_predicted
from evaluation_groups
inner join newest using (evaluated_at)
where bundle_id = $bundle_id and part = $part::split_part
order by place;
