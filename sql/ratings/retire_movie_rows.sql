-- Keeps apart what some files brought to `movie_rows`, before it is removed from there.
insert into retired_movie_rows (movie_id, title, year, file_id, line_number)
select
    movie_id,
    title,
    year,
    file_id,
    line_number
from movie_rows
where file_id in (select batch.file_id from batch);
