-- One row: how many ratings wait to be held against what is published.
select count(*) as num_arrived
from arrived_ratings
semi join ratings using (user_id, movie_id);
