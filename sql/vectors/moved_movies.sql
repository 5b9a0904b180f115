-- One row a movie of the vectors in their order: its index now, null when it is gone.
select movies.movie_index
from vector_movies
left join movies using (movie_id)
order by vector_movies.movie_index;
