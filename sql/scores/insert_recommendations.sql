-- One new row a user of a shard and rank.
insert into recommendations (user_id, rank, movie_id, predicted_rating)
select
    user_id,
    rank,
    movie_id,
    predicted_rating
from batch;
