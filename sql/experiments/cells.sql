-- One row a protocol, system and seed of an experiment, newest data and configuration only.
with of_newest_data as (
    select *
    from experiment_cells
    where experiment = $experiment
    qualify data_digest = arg_max(data_digest, finished_at) over ()
),

of_newest_configuration as (
    select *
    from of_newest_data
    qualify
        config_digest
        = arg_max(config_digest, finished_at) over (partition by protocol, system)
)

select *
from of_newest_configuration
qualify row_number() over (partition by protocol, system, seed order by finished_at desc) = 1
order by protocol, system, seed;
