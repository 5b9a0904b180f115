-- One row a day, published run, segment and bucket, in order.
select *
from live_metrics
order by measured_on, run_id, segment, bucket;
