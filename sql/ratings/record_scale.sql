-- One new row where the scale that is declared is another than the last one.
insert into scale_changes (since, minimum, maximum, step)
with present as (
    select
        max(minimum) filter (where declared) as minimum,
        max(maximum) filter (where declared) as maximum,
        max(step) filter (where declared) as step
    from rating_scale
),

before as (
    select
        minimum,
        maximum,
        step
    from scale_changes
    order by since desc
    limit 1
),

others as (
    select *
    from present
    except
    select *
    from before
)

select
    $since as since,
    minimum,
    maximum,
    step
from others;
