-- Enters for each ratings file how many of its rows stand and how many lost.
update source_files
set
    rows_kept = source_files.rows_read - source_files.rows_rejected - lost.num_lost,
    rows_replaced = lost.num_lost
from (
    select
        files.file_id,
        count(superseded_ratings.file_id) as num_lost
    from source_files as files
    left join superseded_ratings using (file_id)
    where files.role = 'ratings'
    group by files.file_id
) as lost
where
    source_files.file_id = lost.file_id
    and source_files.rows_replaced != lost.num_lost;
