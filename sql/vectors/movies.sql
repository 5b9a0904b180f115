-- One row a movie in index order.
select
    movie_id,
    title,
    year
from movies
order by movie_index;
