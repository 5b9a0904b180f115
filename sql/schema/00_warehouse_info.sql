-- One row: which layout this file has.
create table if not exists warehouse_info (
    schema_version integer not null,
    created_at timestamp not null default current_timestamp
);
