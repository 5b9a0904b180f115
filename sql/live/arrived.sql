-- One row a rating that waits to be held against what is published.
select
    user_id,
    movie_id,
    rating,
    rated_at
from arrived_ratings;
