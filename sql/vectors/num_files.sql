-- One row: how many files the vectors were built from.
select count(*) as num_files
from vector_files;
