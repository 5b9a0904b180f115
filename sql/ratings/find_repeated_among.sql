-- Makes `repeated` as `find_repeated` does, looking only at the movies in `batch` and at those
-- of ratings that have just been put back. The others are rated by no user twice.
create or replace temp table repeated as
with suspects as (
    select movie_id from batch
    union
    select movie_id from superseded_ratings
)

select
    user_id,
    movie_id
from ratings
where movie_id in (select suspects.movie_id from suspects)
group by user_id, movie_id
having count(*) > 1;
