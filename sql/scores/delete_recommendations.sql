-- Removes the users of `batch` from `recommendations`.
delete from recommendations
where user_id in (select batch.user_id from batch);
