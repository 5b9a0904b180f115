-- Removes what some files brought to `superseded_ratings`.
delete from superseded_ratings
where file_id in (select batch.file_id from batch);
