-- One row a check and what it was run on, a night or a scoring run: how many rows offended, 1,000
-- at most, and some of them as JSON.
create table if not exists check_results (
    subject varchar not null,
    check_name varchar not null,
    severity varchar not null check (severity in ('warn', 'block')),
    num_rows bigint not null,
    shown varchar not null,
    checked_at timestamp not null
);
