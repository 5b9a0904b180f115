-- One new row a rating of a user and movie that had none in the vectors so far. One that had gone
-- when these were built has not come since: what is published may have been learned from it.
insert into arrived_ratings (user_id, movie_id, rating, rated_at)
with before_by_index as (
    select
        user_id,
        unnest(movie_indexes) as movie_index
    from user_vectors
    where user_id in (select touched_users.user_id from touched_users)
),

before as (
    select
        before_by_index.user_id,
        vector_movies.movie_id
    from before_by_index
    inner join vector_movies using (movie_index)
),

others as materialized (
    select
        ratings.user_id,
        ratings.movie_id,
        ratings.rating,
        ratings.rated_at
    from ratings
    semi join touched_users using (user_id)
    anti join before using (user_id, movie_id)
    anti join arrived_ratings using (user_id, movie_id)
),

gone as (
    select
        retired_ratings.user_id,
        retired_ratings.movie_id
    from retired_ratings
    semi join others using (user_id, movie_id)
    inner join retired_source_files using (file_id)
    inner join materializations
        on retired_source_files.retired_at <= materializations.built_at
    where materializations.relation = 'user_vectors'
)

select
    others.user_id,
    others.movie_id,
    others.rating,
    others.rated_at
from others
anti join gone using (user_id, movie_id);
