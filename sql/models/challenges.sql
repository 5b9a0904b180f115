-- One row a comparison of a challenger with the champion, in order.
select *
from challenges
order by decided_at;
