-- Forgets which movies the vectors were built over.
delete from vector_movies;
