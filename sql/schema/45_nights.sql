-- One row a night: what became of it, and how many ratings had come.
create table if not exists nights (
    night_id varchar not null,
    night_of date not null,
    status varchar not null check (status in ('running', 'done', 'warned', 'failed')),
    started_at timestamp not null,
    finished_at timestamp,
    num_arrived bigint not null
);
