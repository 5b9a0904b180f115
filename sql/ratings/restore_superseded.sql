-- Puts back every rating that had lost, to be judged anew beside what has come.
insert into ratings (user_id, movie_id, rating, rated_at, file_id, line_number)
select
    user_id,
    movie_id,
    rating,
    rated_at,
    file_id,
    line_number
from superseded_ratings;
