-- One new row a user of a range: movie indexes in order, ratings and days beside them.
insert into user_vectors (user_index, user_id, movie_indexes, ratings, rating_days)
select
    batch.user_index,
    users.user_id,
    batch.movie_indexes,
    batch.ratings,
    batch.rating_days
from batch
inner join users using (user_index)
order by batch.user_index;
