-- Removes what some files brought to `rejected_rows`.
delete from rejected_rows
where file_id in (select batch.file_id from batch);
