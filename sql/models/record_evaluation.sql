-- One new row: what was measured of a predictor on held-out ratings.
insert into evaluations (
    bundle_id,
    split_id,
    data_digest,
    part,
    predictor,
    num_ratings,
    num_cold,
    rmse,
    mae,
    unclipped_rmse,
    evaluated_at
)
values (
    $bundle_id,
    $split_id,
    $data_digest,
    $part,
    $predictor,
    $num_ratings,
    $num_cold,
    $rmse,
    $mae,
    $unclipped_rmse,
    $evaluated_at
);
