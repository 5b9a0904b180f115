-- One row: the file's schema version, or $current while the file is new.
select coalesce(max(schema_version), $current::integer) as schema_version
from warehouse_info;
