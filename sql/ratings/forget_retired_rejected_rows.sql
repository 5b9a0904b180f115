-- Removes what is kept of some retired files in `retired_rejected_rows`.
delete from retired_rejected_rows
where file_id in (select batch.file_id from batch);
