-- Removes the users of `batch` from `user_codes`.
delete from user_codes
where user_id in (select batch.user_id from batch);
