-- One row a rating that waits to be held against what is published, as it stands now.
select
    ratings.user_id,
    ratings.movie_id,
    ratings.rating,
    ratings.rated_at
from ratings
semi join arrived_ratings using (user_id, movie_id);
