-- One row a bundle trained here, newest first, with what has become of it.
select *
from registry
order by trained_at desc, bundle_id desc;
