-- One row an evaluation, predictor, dimension and bucket: the pairs told apart by something
-- known of them. The buckets of a dimension sum to the evaluation; `place` is their order.
create table if not exists evaluation_groups (
    bundle_id varchar not null,
    part split_part not null,
    place integer not null,
    predictor varchar not null,
    dimension varchar not null check (
        dimension in ('activity', 'popularity', 'rating', 'month', 'calibration')
    ),
    bucket varchar not null,
    num_ratings bigint not null check (num_ratings > 0),
    rmse double not null,
    mae double not null,
    mean_actual double not null,
    mean_predicted double not null,
    evaluated_at timestamp not null
);
