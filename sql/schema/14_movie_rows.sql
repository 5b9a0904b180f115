-- One row a usable line of a movies file; several may name one movie.
create table if not exists movie_rows (
    movie_id bigint not null,
    title varchar,
    year smallint,
    file_id integer not null,
    line_number bigint not null
);
