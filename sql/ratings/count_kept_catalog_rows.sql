-- Enters for each movies or users file how many of its rows stand: the last line of the last
-- path that names a movie or user does.
update source_files
set
    rows_kept = standing.num_kept,
    rows_replaced = source_files.rows_read - source_files.rows_rejected - standing.num_kept
from (
    with named as (
        select
            file_id,
            line_number,
            'movies' as role,
            movie_id as id
        from movie_rows
        union all
        select
            file_id,
            line_number,
            'users' as role,
            user_id as id
        from user_rows
    ),

    winners as (
        select
            named.role,
            named.id,
            max_by(named.file_id, (files.path, named.line_number)) as file_id
        from named
        inner join source_files as files using (file_id)
        group by named.role, named.id
    )

    select
        files.file_id,
        count(winners.file_id) as num_kept
    from source_files as files
    left join winners using (file_id)
    where files.role != 'ratings'
    group by files.file_id
) as standing
where source_files.file_id = standing.file_id;
