-- One new row a file taken in: the vectors are built from it now.
insert into vector_files (file_id)
select file_id
from source_files;
