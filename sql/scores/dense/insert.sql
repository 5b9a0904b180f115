-- One new row a user of a shard and movie.
insert into predicted_ratings (user_id, movie_id, predicted_rating)
select
    user_id,
    movie_id,
    predicted_rating
from batch;
