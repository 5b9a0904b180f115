-- One row: how much of the file holds nothing any more, and how large it is.
select
    free_blocks * block_size as num_free_bytes,
    total_blocks * block_size as num_bytes
from pragma_database_size()
where database_name = current_database();
