-- One new row a bundle.
insert into models
select *
from batch;
