-- At most one row: the digest of the ratings that `user_vectors` was built from.
select data_digest
from materializations
where relation = 'user_vectors';
