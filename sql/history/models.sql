-- One row a bundle that had been trained by a moment.
select *
from models
where trained_at <= $moment;
