-- Removes what some files brought to `ratings`.
delete from ratings
where file_id in (select batch.file_id from batch);
