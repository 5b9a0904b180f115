-- One row a cell that was asked for again after it had ended: when last.
create table if not exists experiment_requests (
    fingerprint varchar primary key,
    requested_at timestamp not null
);
