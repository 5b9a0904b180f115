-- Makes `recommendations`, one row a user and rank, empty, with the ids and ratings of
-- `predicted_ratings`.
create table if not exists recommendations as
select
    user_id,
    0::integer as rank,
    movie_id,
    predicted_rating
from predicted_ratings
where false;
