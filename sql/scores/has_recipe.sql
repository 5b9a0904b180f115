-- One row: whether this file says what decides its rows; files of older releases do not.
select count(*) = 1 as has_recipe
from duckdb_tables()
where table_name = 'recipe';
