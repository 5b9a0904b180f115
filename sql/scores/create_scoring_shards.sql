-- Makes `scoring_shards`, one row a shard of this run whose predictions are in this file, empty.
create or replace table scoring_shards (
    shard integer not null,
    num_users bigint not null,
    num_predictions bigint not null,
    scored_at timestamp not null default current_timestamp
);
