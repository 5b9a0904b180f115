-- Removes what some files brought to `source_files`.
delete from source_files
where file_id in (select batch.file_id from batch);
