-- One new row: from which ratings `user_vectors` was built.
insert into materializations (relation, data_digest, built_at)
values ('user_vectors', $data_digest, $built_at);
