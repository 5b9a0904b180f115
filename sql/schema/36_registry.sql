-- One row a bundle trained here: what it is, how good it was, and what has become of it.
create or replace view registry as
with standing as (
    select
        bundle_id,
        arg_max(status, change_id) as status,
        arg_max(changed_at, change_id) as changed_at,
        arg_max(changed_by, change_id) as changed_by,
        arg_max(reason, change_id) as reason
    from model_changes
    group by bundle_id
),

measured as (
    select
        bundle_id,
        arg_max(rmse, evaluated_at) as test_rmse,
        arg_max(minus_bias, evaluated_at) as test_minus_bias
    from evaluations
    where part = 'test' and predictor = 'model'
    group by bundle_id
)

select
    models.bundle_id,
    models.name,
    standing.status,
    models.trained_at,
    models.first_train_day,
    models.last_train_day,
    models.num_train_ratings,
    models.data_digest,
    models.split_id,
    models.seed,
    models.device,
    models.dev_rmse,
    measured.test_rmse,
    measured.test_minus_bias,
    models.largest_difference,
    standing.changed_at,
    standing.changed_by,
    standing.reason
from models
inner join standing using (bundle_id)
left join measured using (bundle_id);
