-- One row: when the last night that went through ended; long ago, where none has.
select coalesce(max(finished_at), timestamp '1970-01-01') as finished_at
from nights
where status in ('done', 'warned');
