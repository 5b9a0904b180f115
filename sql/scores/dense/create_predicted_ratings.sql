-- Makes the view `predicted_ratings`, one row a user and movie. A filter on movies reaches the
-- blocks through the join; one on users is held against them at once.
create view if not exists predicted_ratings as
select
    rating_blocks.user_id,
    movie_places.movie_id,
    rating_blocks.ratings[movie_places.place] as predicted_rating
from rating_blocks
inner join movie_places using (block);
