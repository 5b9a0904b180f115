-- Empties `user_vectors`.
delete from user_vectors;
