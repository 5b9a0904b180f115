-- One row a scoring run: where its shards were put, empty for the home, and what was made of them.
select
    run_id,
    coalesce(json_extract_string(manifest, '$.config.shards_at'), '') as shards_at,
    json_extract_string(manifest, '$.config.publish') as publish
from scoring_runs;
