-- At most one row: the moment before which nothing can be put together again.
select forgotten_before
from history;
