-- Adds the rows of `batch`, one a predictor, dimension and bucket of an evaluation.
insert into evaluation_groups (
    bundle_id,
    part,
    place,
    predictor,
    dimension,
    bucket,
    num_ratings,
    rmse,
    mae,
    mean_actual,
    mean_predicted,
    evaluated_at
)
select
    $bundle_id as bundle_id,
    $part as part,
    place,
    predictor,
    dimension,
    bucket,
    num_ratings,
    rmse,
    mae,
    mean_actual,
    mean_predicted,
    $evaluated_at as evaluated_at
from batch
order by place;
