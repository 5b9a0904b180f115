-- One row each time a run took the published file's place: by being finished, or by a rollback.
create table if not exists publications (
    run_id varchar not null,
    bundle_id varchar not null,
    published_at timestamp not null,
    published_by varchar not null
);
