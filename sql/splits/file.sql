-- Makes `rating_parts`, one row a rating: the part that the name of its file says, with dev
-- drawn from the training file by a seeded hash.
create or replace temp table rating_parts as
with named as (
    select
        ratings.user_id,
        ratings.movie_id,
        parse_filename(source_files.path) as file_name,
        draw($seed, ratings.user_id, ratings.movie_id) as place
    from ratings
    inner join source_files using (file_id)
)

select
    user_id,
    movie_id,
    case
        when file_name glob $test then 'test'
        when not file_name glob $train then 'other_file'
        when place < $dev_fraction then 'dev'
        else 'train'
    end::split_part as part
from named;
