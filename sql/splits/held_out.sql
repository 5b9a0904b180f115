-- One row a rating of the users in a range that is not for training, and its part.
select
    user_index,
    movie_index,
    part_code
from held_out
where user_index >= $first_user and user_index < $end_user;
