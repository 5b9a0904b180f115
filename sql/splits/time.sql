-- One row a rating of some users that is not for training: dev and test after a day, and what lies
-- outside the windows.
with divided as (
    select
        row_index,
        case
            when rated_on < $train_from or rated_on > $test_through then 'outside_window'
            when rated_on <= $train_through then 'train'
            when rated_on <= $dev_through then 'dev'
            when $dev_through is null and draw($seed, user_id, movie_id) < $dev_fraction then 'dev'
            else 'test'
        end::split_part as part
    from batch
)

select
    row_index,
    enum_code(part) as part_code
from divided
where part != 'train';
