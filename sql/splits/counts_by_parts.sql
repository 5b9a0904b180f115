-- One row a part that is not empty, and one a union of parts.
select
    [part] as parts,
    num_ratings,
    num_users,
    num_movies
from split_counts
where split_id = $split_id
union all
select
    parts,
    num_ratings,
    num_users,
    num_movies
from split_unions
where split_id = $split_id;
