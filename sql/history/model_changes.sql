-- One row a change of a bundle's status by a moment.
select *
from model_changes
where changed_at <= $moment;
