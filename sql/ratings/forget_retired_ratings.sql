-- Removes what is kept of some retired files in `retired_ratings`.
delete from retired_ratings
where file_id in (select batch.file_id from batch);
