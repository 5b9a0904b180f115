-- Removes the users of `batch` from `predicted_ratings`.
delete from predicted_ratings
where user_id in (select batch.user_id from batch);
