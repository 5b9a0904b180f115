-- Zero rows = healthy: a user's recommendations are ranked from 1 without gaps, each movie once,
-- none rated higher than the one before it.
with numbered as (
    select
        user_id,
        rank,
        movie_id,
        row_number() over (partition by user_id order by rank) as place,
        lag(predicted_rating) over (partition by user_id order by rank) as rating_before,
        predicted_rating,
        count(*) over (partition by user_id, movie_id) as num_times
    from recommendations
)

select
    user_id,
    rank,
    movie_id,
    predicted_rating,
    rating_before
from numbered
where rank != place or predicted_rating > rating_before or num_times > 1;
