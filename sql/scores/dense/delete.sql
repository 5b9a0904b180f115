-- Removes the users of `batch` from `rating_blocks`.
delete from rating_blocks
where user_id in (select batch.user_id from batch);
