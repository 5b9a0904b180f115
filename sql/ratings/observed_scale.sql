-- One row: the smallest and the largest rating.
select
    min(rating) as minimum,
    max(rating) as maximum
from ratings;
