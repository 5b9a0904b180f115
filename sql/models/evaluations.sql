-- One row a predictor: the newest evaluation of a bundle on one part.
select
    predictor,
    num_ratings,
    num_cold,
    rmse,
    rmse_low,
    rmse_high,
    mae,
    unclipped_rmse,
    unclipped_mae,
    minus_bias,
    minus_bias_low,
    minus_bias_high
from evaluations
where bundle_id = $bundle_id and part = $part::split_part
qualify evaluated_at = max(evaluated_at) over ()
order by rmse;
