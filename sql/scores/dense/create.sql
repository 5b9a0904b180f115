-- Makes `predicted_ratings`, one row a user and movie, empty, with the columns of `batch`.
create table if not exists predicted_ratings as
select
    user_id,
    movie_id,
    predicted_rating
from batch
where false;
