-- Zero rows = healthy: every standing rating is a number on the scale.
select
    ratings.user_id,
    ratings.movie_id,
    ratings.rating,
    source_files.path,
    ratings.line_number
from ratings
cross join rating_scale
left join source_files using (file_id)
where
    not isfinite(ratings.rating)
    or ratings.rating < rating_scale.minimum::float
    or ratings.rating > rating_scale.maximum::float;
