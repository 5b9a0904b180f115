-- Removes what some files brought to `user_rows`.
delete from user_rows
where file_id in (select batch.file_id from batch);
