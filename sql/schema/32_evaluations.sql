-- One row an evaluation and predictor: the model itself, or a floor beside it.
create table if not exists evaluations (
    bundle_id varchar not null,
    split_id varchar not null,
    data_digest varchar not null,
    part split_part not null,
    predictor varchar not null,
    num_ratings bigint not null,
    num_cold bigint not null,
    rmse double not null,
    mae double not null,
    unclipped_rmse double not null,
    evaluated_at timestamp not null
);
