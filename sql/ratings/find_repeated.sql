-- Makes `repeated`, one row a user and movie with several ratings. A table of its own, since only
-- its size tells the planner that next to nothing is to be joined to all ratings.
create or replace temp table repeated as
select
    user_id,
    movie_id
from ratings
group by user_id, movie_id
having count(*) > 1;
