-- One row a user and rank.
select
    user_id,
    rank,
    movie_id
from recommendations;
