-- One row a part that is not empty, in the order of the type.
select
    part,
    num_ratings,
    num_users,
    num_movies
from split_counts
where split_id = $split_id
order by part;
