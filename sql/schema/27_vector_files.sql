-- One row a file that `user_vectors` was built from, as it was then.
create table if not exists vector_files (
    file_id integer not null
);
