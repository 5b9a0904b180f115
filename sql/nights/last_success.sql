-- One row: when the last night that went through began; long ago, where none has.
select coalesce(max(started_at), timestamp '1970-01-01') as started_at
from nights
where status in ('done', 'warned');
