-- At most one row: the digest of the ratings that went through a night's checks last.
select data_digest
from materializations
where relation = 'checks';
