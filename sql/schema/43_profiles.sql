-- One row a published run, quantity and bucket: how often it occurred, by which the next run is
-- told whether its data have drifted.
create table if not exists profiles (
    run_id varchar not null,
    quantity varchar not null,
    bucket varchar not null,
    num_rows bigint not null,
    taken_at timestamp not null
);
