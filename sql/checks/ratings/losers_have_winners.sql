-- Zero rows = healthy: every rating that lost has a standing one that it lost to.
select
    superseded_ratings.user_id,
    superseded_ratings.movie_id
from superseded_ratings
left join ratings using (user_id, movie_id)
where ratings.user_id is null;
