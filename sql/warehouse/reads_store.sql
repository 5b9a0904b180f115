-- One row: whether a view of this file reads an object store.
select count(*) > 0 as reads_store
from duckdb_views()
where
    not internal
    and contains(sql, '''s3://');
