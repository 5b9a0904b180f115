-- Makes `rating_parts`, one row a rating: test and dev drawn by a seeded hash, the rest train.
create or replace temp table rating_parts as
with drawn as (
    select
        user_id,
        movie_id,
        draw($seed, user_id, movie_id) as place
    from ratings
)

select
    user_id,
    movie_id,
    case
        when place < $test_fraction then 'test'
        when place < $test_fraction + $dev_fraction then 'dev'
        else 'train'
    end::split_part as part
from drawn;
