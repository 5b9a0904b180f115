-- Makes `movie_places`, one row a movie: its block, and where its rating stands in the block's.
create table if not exists movie_places as
select
    movie_id,
    block,
    place
from batch;
