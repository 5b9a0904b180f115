-- Zero rows = healthy: a user has as many recommendations as there are movies that may be
-- recommended and that he has not rated, and no more than asked for. Which of his rated ones may be
-- is not known here: where some may not, the number has two bounds.
with recommendable as (
    select count(*) as num_movies
    from movies
    where num_train_ratings >= $min_ratings
)

select
    users.user_id,
    users.num_ratings,
    count(recommendations.movie_id) as num_recommended
from users
cross join recommendable
left join recommendations using (user_id)
group by users.user_id, users.num_ratings, recommendable.num_movies
having
    count(recommendations.movie_id) not between
    least($top_n, greatest(recommendable.num_movies - users.num_ratings, 0))
    and least($top_n, recommendable.num_movies, $num_movies - users.num_ratings);
