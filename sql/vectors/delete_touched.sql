-- Removes the touched users from `user_vectors`.
delete from user_vectors
where user_id in (select touched_users.user_id from touched_users);
