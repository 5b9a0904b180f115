-- One new row: a cell that has ended.
insert into experiment_cells by name
select *
from batch;
