-- Fills `split_vectors` for one split, one row a user who has rated: parts in the movies' order.
insert into split_vectors (split_id, user_index, parts)
select
    $split_id as split_id,
    users.user_index,
    list(rating_parts.part order by movies.movie_index) as parts
from rating_parts
inner join users using (user_id)
inner join movies using (movie_id)
group by users.user_index
order by users.user_index;
