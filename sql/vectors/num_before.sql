-- One row: the users of the vectors.
select count(*) as num_users
from user_vectors;
