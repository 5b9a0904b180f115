-- Makes `rating_parts`, one row a rating: train up to a day, dev and test after it; what lies
-- outside the windows is marked as such.
create or replace temp table rating_parts as
with dated as (
    select
        user_id,
        movie_id,
        rated_at::date as rated_on,
        draw($seed, user_id, movie_id) as place
    from ratings
)

select
    user_id,
    movie_id,
    case
        when rated_on < $train_from or rated_on > $test_through then 'outside_window'
        when rated_on <= $train_through then 'train'
        when rated_on <= $dev_through then 'dev'
        when $dev_through is null and place < $dev_fraction then 'dev'
        else 'test'
    end::split_part as part
from dated;
