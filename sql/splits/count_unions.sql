-- One new row a union of parts, in which a user or movie of several counts once.
insert into split_unions (split_id, parts, num_ratings, num_users, num_movies)
select
    $split_id as split_id,
    parts,
    num_ratings,
    num_users,
    num_movies
from batch;
