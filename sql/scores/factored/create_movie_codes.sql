-- Makes `movie_codes`, one row a movie.
create or replace table movie_codes as
select
    movie_id,
    code
from batch;
