-- One row a usable line of a retired movies file.
create table if not exists retired_movie_rows (
    movie_id bigint not null,
    title varchar,
    year smallint,
    file_id integer not null,
    line_number bigint not null
);
