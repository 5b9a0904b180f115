-- Removes what some files brought to `movie_rows`.
delete from movie_rows
where file_id in (select batch.file_id from batch);
