-- One row: how the predictions lie in this file.
select if(count(*) > 0, 'factored', 'dense') as storage
from duckdb_tables()
where table_name = 'user_codes';
