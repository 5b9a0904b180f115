-- Makes `recommendations`, one row a user and rank, empty, with the ids and ratings of `batch`.
create table if not exists recommendations as
select
    user_id,
    0::integer as rank,
    movie_id,
    predicted_rating
from batch
where false;
