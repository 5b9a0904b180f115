-- Zero rows = healthy: every row of every file is where `source_files` says it is.
with kept as (
    select
        file_id,
        count(*) as num_rows
    from ratings
    group by file_id
),

replaced as (
    select
        file_id,
        count(*) as num_rows
    from superseded_ratings
    group by file_id
),

rejected as (
    select
        file_id,
        count(*) as num_rows
    from rejected_rows
    group by file_id
)

select
    source_files.path,
    source_files.rows_read,
    source_files.rows_kept,
    source_files.rows_replaced,
    source_files.rows_rejected
from source_files
left join kept using (file_id)
left join replaced using (file_id)
left join rejected using (file_id)
where
    source_files.rows_rejected != coalesce(rejected.num_rows, 0)
    or (
        source_files.role = 'ratings'
        and (
            source_files.rows_kept != coalesce(kept.num_rows, 0)
            or source_files.rows_replaced != coalesce(replaced.num_rows, 0)
        )
    );
