-- One new row a movie that was read.
insert into movie_rows (movie_id, title, year, file_id, line_number)
select
    movie_id,
    title,
    year,
    file_id,
    line_number
from batch;
