-- One row: the tables in this file, and whether deeprec's own is one of them.
select
    count(*) as num_tables,
    coalesce(bool_or(table_name = 'warehouse_info'), false) as is_ours
from duckdb_tables()
where database_name = current_database();
