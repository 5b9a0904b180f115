-- Removes the users of `batch` from `users`.
delete from users
where user_id in (select batch.user_id from batch);
