-- One row a night and step: what it did, or why it did nothing.
create table if not exists night_steps (
    night_id varchar not null,
    place integer not null,
    step varchar not null,
    outcome varchar not null check (outcome in ('done', 'skipped', 'warned', 'failed')),
    said varchar not null,
    started_at timestamp not null,
    seconds double not null
);
