-- One row a scoring run, whether or not it came to be published. Runs of one fingerprint publish
-- the same rows; `manifest` is what it takes to do it again, as JSON.
create table if not exists scoring_runs (
    run_id varchar not null,
    bundle_id varchar not null,
    data_digest varchar not null,
    fingerprint varchar not null,
    manifest varchar not null,
    status varchar not null check (status in ('running', 'published', 'failed')),
    started_at timestamp not null,
    finished_at timestamp,
    num_users bigint not null,
    num_movies bigint not null,
    num_predictions bigint not null,
    num_recommendations bigint not null,
    num_bias_users bigint not null,
    num_bias_movies bigint not null
);
