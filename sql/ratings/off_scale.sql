-- One row: how many ratings, standing or beaten, are not on a scale, and what they span. A step is
-- met within a thousandth of it, and within what a float of that size can tell.
with everything as (
    select rating from ratings
    union all
    select rating from superseded_ratings
)

select
    count(*) as num_off,
    min(rating) as lowest,
    max(rating) as highest
from everything
where
    rating < $minimum::float
    or rating > $maximum::float
    or abs((rating - $minimum) / $step - round((rating - $minimum) / $step))
    >= 0.001 + abs(rating) * pow(2, -23) / $step;
