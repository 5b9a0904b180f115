-- Fills `user_vectors`, one row a user: movie indexes in order, ratings beside them.
insert into user_vectors (user_index, user_id, movie_indexes, ratings)
with vectors as (
    select
        ratings.user_id,
        list(movies.movie_index order by movies.movie_index) as movie_indexes,
        list(ratings.rating order by movies.movie_index) as ratings
    from ratings
    inner join movies using (movie_id)
    group by ratings.user_id
)

select
    users.user_index,
    users.user_id,
    coalesce(vectors.movie_indexes, []) as movie_indexes,
    coalesce(vectors.ratings, []) as ratings
from users
left join vectors using (user_id)
order by users.user_index;
