-- One row a user of an index range of the vectors who is still there, in index order, under the
-- index that he has now.
select
    users.user_index,
    user_vectors.movie_indexes,
    user_vectors.ratings,
    user_vectors.rating_days
from user_vectors
inner join users using (user_id)
where user_vectors.user_index >= $first_user and user_vectors.user_index < $end_user
order by users.user_index;
