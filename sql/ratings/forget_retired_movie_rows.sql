-- Removes what is kept of some retired files in `retired_movie_rows`.
delete from retired_movie_rows
where file_id in (select batch.file_id from batch);
