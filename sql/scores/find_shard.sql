-- At most one row: the shard, if its predictions are in this file.
select shard
from scoring_shards
where shard = $shard;
