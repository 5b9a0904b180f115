-- One row a step of a night, in order.
select
    step,
    outcome,
    said,
    seconds
from night_steps
where night_id = $night_id
order by place;
