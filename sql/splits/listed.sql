-- Makes `rating_parts`, one row a rating: the part that its pair is listed for, else train.
create or replace temp table rating_parts as
select
    ratings.user_id,
    ratings.movie_id,
    coalesce(listed_pairs.part, 'train')::split_part as part
from ratings
left join listed_pairs using (user_id, movie_id);
