-- Zero rows = healthy: a user and a movie have one standing rating.
select
    user_id,
    movie_id,
    count(*) as num_ratings
from ratings
group by user_id, movie_id
having count(*) > 1;
