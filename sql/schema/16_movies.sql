-- One row a movie that is titled or rated; movie_index is dense, 0-based, in order of movie_id.
create table if not exists movies (
    movie_index integer not null,
    movie_id bigint not null,
    title varchar,
    year smallint
);
