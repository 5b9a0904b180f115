-- At most one row: the scale of the ratings.
select
    minimum,
    maximum,
    step,
    declared
from rating_scale;
