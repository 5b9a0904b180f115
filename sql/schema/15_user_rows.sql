-- One row a usable line of a users file; several may name one user.
create table if not exists user_rows (
    user_id bigint not null,
    file_id integer not null,
    line_number bigint not null
);
