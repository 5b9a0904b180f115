-- Makes `listed_pairs`, one row a part and pair that is listed for it: where first, how often.
create or replace temp table listed_pairs as
select
    user_id,
    movie_id,
    part,
    min(line_number) as line_number,
    count(*) as num_times
from batch
group by user_id, movie_id, part;
