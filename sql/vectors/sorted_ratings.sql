-- One row a rating of the users in a range, by user, and by movie within a user.
select
    user_index,
    movie_index as movie_indexes,
    rating as ratings,
    day as rating_days
from sorted_ratings
where user_index >= $first_user and user_index < $end_user
order by user_index, movie_index;
