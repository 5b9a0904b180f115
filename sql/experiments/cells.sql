-- One row a protocol, system and seed of an experiment: of the data and configuration that were
-- asked for last.
with requested as (
    select
        experiment_cells.*,
        coalesce(experiment_requests.requested_at, experiment_cells.finished_at) as requested_at
    from experiment_cells
    left join experiment_requests using (fingerprint)
    where experiment_cells.experiment = $experiment
),

of_newest_data as (
    select *
    from requested
    qualify data_digest = arg_max(data_digest, requested_at) over ()
),

of_newest_configuration as (
    select *
    from of_newest_data
    qualify
        config_digest
        = arg_max(config_digest, requested_at) over (partition by protocol, system)
)

select * exclude (requested_at)
from of_newest_configuration
qualify row_number() over (partition by protocol, system, seed order by requested_at desc) = 1
order by protocol, system, seed;
