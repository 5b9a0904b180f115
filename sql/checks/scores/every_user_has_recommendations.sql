-- Zero rows = healthy: a user has as many recommendations as there are movies that he has not
-- rated, and no more than asked for.
select
    users.user_id,
    users.num_ratings,
    count(recommendations.movie_id) as num_recommended
from users
left join recommendations using (user_id)
group by users.user_id, users.num_ratings
having count(recommendations.movie_id) != least($top_n, $num_movies - users.num_ratings);
