-- One row a user in this file, by ascending id: the digest of the vector his rows were made of.
select
    user_id,
    vector_digest
from users
order by user_id;
