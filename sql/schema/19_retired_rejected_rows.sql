-- One row a line of a retired file that could not be used.
create table if not exists retired_rejected_rows (
    file_id integer not null,
    line_number bigint not null,
    text varchar not null,
    reason varchar not null
);
