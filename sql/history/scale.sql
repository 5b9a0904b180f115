-- At most one row: the scale that was declared at a moment, nulls where none was; no row where that
-- was not kept yet.
select
    minimum,
    maximum,
    step
from scale_changes
where since <= $moment
order by since desc
limit 1;
