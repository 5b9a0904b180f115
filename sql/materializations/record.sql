-- One new row: from which ratings a relation was built.
insert into materializations (relation, data_digest, built_at)
values ($relation, $data_digest, $built_at);
