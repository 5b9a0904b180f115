-- One row a pair of the batch that files known at a moment rated, up to a day where one is given.
with files as (
    select file_id
    from source_files
    where ingested_at <= $moment
    union all
    select file_id
    from retired_source_files
    where ingested_at <= $moment and retired_at > $moment
),

everything as (
    select * from ratings
    union all
    select * from superseded_ratings
    union all
    select * from retired_ratings
)

select distinct
    batch.user_id,
    batch.movie_id
from batch
inner join everything using (user_id, movie_id)
where
    everything.file_id in (select file_id from files)
    and ($last_day::date is null or everything.rated_at::date <= $last_day::date);
