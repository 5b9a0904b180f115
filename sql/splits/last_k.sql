-- Makes `held_out`, one row a rating that is not for training: the last of each user are test,
-- those before them dev; a user with too few ratings to leave one behind has none. Which ratings
-- of one moment are the later ones is drawn by a seeded hash.
create or replace temp table held_out as
with placed as (
    select
        user_id,
        movie_id,
        count(*) over (partition by user_id) as num_ratings,
        row_number() over (
            partition by user_id
            order by rated_at desc, draw($seed, user_id, movie_id) asc, movie_id asc
        ) as place
    from ratings
)

select
    users.user_index,
    movies.movie_index,
    enum_code(case when placed.place <= $test_k then 'test' else 'dev' end::split_part) as part_code
from placed
inner join users using (user_id)
inner join movies using (movie_id)
where placed.num_ratings > $test_k + $dev_k and placed.place <= $test_k + $dev_k
order by users.user_index;
