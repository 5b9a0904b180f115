-- One row: how the predictions lie in this file.
select
    case
        when count(*) filter (where table_name = 'user_codes') > 0 then 'factored'
        when count(*) filter (where table_name = 'rating_blocks') > 0 then 'dense'
        else 'rows'
    end as form
from duckdb_tables();
