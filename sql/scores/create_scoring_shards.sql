-- Makes `scoring_shards`, the ledger, empty: one row a shard of this run whose rows are in this
-- file, and one, numbered -1, for what was carried over. `num_rows` and `checksum` are sums over
-- the rows of predictions (or codes) and recommendations, the same in any order.
create or replace table scoring_shards (
    shard integer not null,
    num_users bigint not null,
    num_predictions bigint not null,
    num_rows bigint not null,
    checksum hugeint not null,
    scored_at timestamp not null default current_timestamp
);
