-- Zero rows = healthy: no rating is dated later than a day after now, which time zones explain.
select
    ratings.user_id,
    ratings.movie_id,
    ratings.rated_at,
    source_files.path,
    ratings.line_number
from ratings
left join source_files using (file_id)
where ratings.rated_at > $now::timestamp + interval 1 day;
