-- One new row a rating that was read.
insert into ratings (user_id, movie_id, rating, rated_at, file_id, line_number)
select
    user_id,
    movie_id,
    rating,
    rated_at,
    file_id,
    line_number
from batch;
