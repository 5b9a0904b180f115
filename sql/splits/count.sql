-- One new row a part that is not empty.
insert into split_counts (split_id, part, num_ratings, num_users, num_movies)
select
    $split_id as split_id,
    part,
    num_ratings,
    num_users,
    num_movies
from batch;
