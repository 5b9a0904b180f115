-- One new row a change of a bundle's status.
insert into model_changes
select *
from batch;
