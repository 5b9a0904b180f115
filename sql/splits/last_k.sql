-- Makes `rating_parts`, one row a rating: the last of each user are test, those before them dev;
-- a user with too few ratings to leave one behind keeps all in train.
create or replace temp table rating_parts as
with placed as (
    select
        user_id,
        movie_id,
        count(*) over (partition by user_id) as num_ratings,
        row_number() over (partition by user_id order by rated_at desc, movie_id desc) as place
    from ratings
)

select
    user_id,
    movie_id,
    case
        when num_ratings <= $test_k + $dev_k then 'train'
        when place <= $test_k then 'test'
        when place <= $test_k + $dev_k then 'dev'
        else 'train'
    end::split_part as part
from placed;
