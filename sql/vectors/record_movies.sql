-- One new row a movie: the vectors are built over it now.
insert into vector_movies (movie_index, movie_id)
select
    movie_index,
    movie_id
from movies;
