-- Removes what is kept of some retired files in `retired_user_rows`.
delete from retired_user_rows
where file_id in (select batch.file_id from batch);
