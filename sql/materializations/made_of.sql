-- At most one row: the digest of the ratings that a relation was built from.
select data_digest
from materializations
where relation = $relation;
