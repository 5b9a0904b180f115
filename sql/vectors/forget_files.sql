-- Forgets which files the vectors were built from.
delete from vector_files;
