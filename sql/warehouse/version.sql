-- One row: the layout of this file, null while it is new.
select max(schema_version) as schema_version
from warehouse_info;
