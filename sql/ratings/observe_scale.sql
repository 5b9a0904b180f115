-- One new row, where there are ratings: the scale that they span.
insert into rating_scale (minimum, maximum, declared)
select
    min(rating) as minimum,
    max(rating) as maximum,
    false as declared
from ratings
having count(*) > 0;
