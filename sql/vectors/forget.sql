-- Forgets from which ratings `user_vectors` was built.
delete from materializations
where relation = 'user_vectors';
