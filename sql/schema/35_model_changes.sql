-- One row a change of a bundle's status, in order: what it became, when, by whom, and why.
create table if not exists model_changes (
    change_id integer not null,
    bundle_id varchar not null,
    status varchar not null check (status in ('candidate', 'champion', 'retired', 'rejected')),
    changed_at timestamp not null,
    changed_by varchar not null,
    reason varchar not null
);
