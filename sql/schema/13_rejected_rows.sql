-- One row a line that could not be used: where it stands, what it says, why it was refused.
create table if not exists rejected_rows (
    file_id integer not null,
    line_number bigint not null,
    text varchar not null,
    reason varchar not null
);
