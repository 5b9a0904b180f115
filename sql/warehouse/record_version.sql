-- One new row: the layout of this file.
insert into warehouse_info (schema_version)
values ($version);
