-- One row a time from when on another scale was declared; nulls where none was.
create table if not exists scale_changes (
    since timestamp not null,
    minimum double,
    maximum double,
    step double
);
