-- Makes `losers`, one row a rating that another of its user and movie beats: the later date wins,
-- then the later path and line, whatever the order in which they came.
create or replace temp table losers as
with ranked as (
    select
        ratings.*,
        row_number() over (
            partition by ratings.user_id, ratings.movie_id
            order by
                ratings.rated_at desc nulls last,
                source_files.path desc,
                ratings.line_number desc
        ) as place
    from ratings
    inner join repeated using (user_id, movie_id)
    inner join source_files using (file_id)
)

select
    user_id,
    movie_id,
    rating,
    rated_at,
    file_id,
    line_number
from ranked
where place > 1;
