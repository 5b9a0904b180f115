-- Makes `held_out`, one row a rating that is not for training: test by the name of its file, dev
-- drawn from the training file by a seeded hash, and what other files brought.
create or replace temp table held_out as
with named as (
    select
        ratings.user_id,
        ratings.movie_id,
        regexp_replace(parse_filename(source_files.path), '\.gz$', '') as file_name,
        draw($seed, ratings.user_id, ratings.movie_id) as place
    from ratings
    inner join source_files using (file_id)
),

divided as (
    select
        user_id,
        movie_id,
        case
            when file_name glob $test then 'test'
            when not file_name glob $train then 'other_file'
            when place < $dev_fraction then 'dev'
            else 'train'
        end::split_part as part
    from named
)

select
    users.user_index,
    movies.movie_index,
    enum_code(divided.part) as part_code
from divided
inner join users using (user_id)
inner join movies using (movie_id)
where divided.part != 'train'
order by users.user_index;
