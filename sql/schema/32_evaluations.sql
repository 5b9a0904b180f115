-- One row an evaluation and predictor: the model itself, or a floor beside it. `low` and `high`
-- bound 95 % intervals over users, null where there is but one; `minus_bias` is of the RMSE.
create table if not exists evaluations (
    bundle_id varchar not null,
    split_id varchar not null,
    data_digest varchar not null,
    part split_part not null,
    predictor varchar not null,
    num_ratings bigint not null,
    num_cold bigint not null,
    rmse double not null,
    rmse_low double,
    rmse_high double,
    mae double not null,
    unclipped_rmse double not null,
    unclipped_mae double not null,
    minus_bias double not null,
    minus_bias_low double,
    minus_bias_high double,
    evaluated_at timestamp not null
);
