-- Fills `movies`, one row a movie that is titled or rated, with dense indexes in order of id.
insert into movies (movie_index, movie_id, title, year)
with titled as (
    select
        movie_rows.movie_id,
        max_by(movie_rows.title, (source_files.path, movie_rows.line_number)) as title,
        arg_max_null(movie_rows.year, (source_files.path, movie_rows.line_number)) as year
    from movie_rows
    inner join source_files using (file_id)
    group by movie_rows.movie_id
),

rated as (
    select distinct movie_id
    from ratings
),

known as (
    select movie_id from titled
    union
    select movie_id from rated
)

select
    row_number() over (order by known.movie_id) - 1 as movie_index,
    known.movie_id,
    titled.title,
    titled.year
from known
left join titled using (movie_id)
order by known.movie_id;
