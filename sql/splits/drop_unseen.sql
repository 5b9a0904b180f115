-- Marks dev and test ratings whose user or movie has no rating in train.
create or replace temp table rating_parts as
with trained as (
    select
        user_id,
        movie_id
    from rating_parts
    where part = 'train'
),

known_users as (
    select distinct user_id
    from trained
),

known_movies as (
    select distinct movie_id
    from trained
)

select
    rating_parts.user_id,
    rating_parts.movie_id,
    case
        when rating_parts.part not in ('dev', 'test') then rating_parts.part
        when known_users.user_id is null then 'unseen_user'
        when known_movies.movie_id is null then 'unseen_movie'
        else rating_parts.part
    end::split_part as part
from rating_parts
left join known_users using (user_id)
left join known_movies using (movie_id);
