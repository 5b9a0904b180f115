-- Zero rows = healthy: every row of every file is where `source_files` says it is.
with everything as (
    select
        file_id,
        'kept' as place
    from ratings
    union all
    select
        file_id,
        'replaced' as place
    from superseded_ratings
    union all
    select
        file_id,
        'rejected' as place
    from rejected_rows
),

places as (
    select
        file_id,
        count(*) filter (where place = 'kept') as num_kept,
        count(*) filter (where place = 'replaced') as num_replaced,
        count(*) filter (where place = 'rejected') as num_rejected
    from everything
    group by file_id
)

select
    source_files.path,
    source_files.rows_read,
    source_files.rows_kept,
    source_files.rows_replaced,
    source_files.rows_rejected
from source_files
left join places using (file_id)
where
    source_files.rows_rejected != coalesce(places.num_rejected, 0)
    or (
        source_files.role = 'ratings'
        and (
            source_files.rows_kept != coalesce(places.num_kept, 0)
            or source_files.rows_replaced != coalesce(places.num_replaced, 0)
        )
    );
