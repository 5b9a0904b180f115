-- Zero rows = healthy: every row of the files taken in since the last night could be used.
select
    source_files.path,
    rejected_rows.line_number,
    rejected_rows.reason,
    rejected_rows.text
from rejected_rows
inner join source_files using (file_id)
where source_files.ingested_at >= $since::timestamp
order by source_files.path, rejected_rows.line_number;
