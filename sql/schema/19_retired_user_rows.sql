-- One row a usable line of a retired users file.
create table if not exists retired_user_rows (
    user_id bigint not null,
    file_id integer not null,
    line_number bigint not null
);
