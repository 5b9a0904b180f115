-- One row a rating of some users that is not for training: test or dev, drawn by a seeded hash.
with drawn as (
    select
        row_index,
        draw($seed, user_id, movie_id) as place
    from batch
)

select
    row_index,
    enum_code(case when place < $test_fraction then 'test' else 'dev' end::split_part) as part_code
from drawn
where place < $test_fraction + $dev_fraction;
