-- One row a rating of the users in a range: its part, in the order of its user's vector.
select
    user_index,
    part as parts
from sorted_parts
where user_index >= $first_user and user_index < $end_user
order by user_index, movie_index;
