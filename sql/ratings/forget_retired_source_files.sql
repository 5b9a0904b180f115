-- Removes what is kept of some retired files in `retired_source_files`.
delete from retired_source_files
where file_id in (select batch.file_id from batch);
