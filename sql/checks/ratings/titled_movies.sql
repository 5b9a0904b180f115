-- Zero rows = healthy: where movies have titles, few ratings are of movies without one.
with shares as (
    select
        count(*) filter (where movies.title is null) / count(*) as untitled_share,
        count(distinct movies.movie_id) filter (where movies.title is null) as num_untitled_movies
    from ratings
    inner join movies using (movie_id)
)

select
    untitled_share,
    num_untitled_movies
from shares
where
    untitled_share > $max_untitled_fraction
    and (select count(movies.title) from movies) > 0;
