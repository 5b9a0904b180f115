-- Keeps apart what some files brought to `superseded_ratings`, before it is removed from there.
insert into retired_ratings (user_id, movie_id, rating, rated_at, file_id, line_number)
select
    user_id,
    movie_id,
    rating,
    rated_at,
    file_id,
    line_number
from superseded_ratings
where file_id in (select batch.file_id from batch);
