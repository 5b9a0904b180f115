-- Empties `users`.
delete from users;
