-- At most one row: the first pair listed for a part that has no rating.
select
    listed_pairs.user_id,
    listed_pairs.movie_id,
    listed_pairs.line_number
from listed_pairs
left join ratings using (user_id, movie_id)
where listed_pairs.part = $part and ratings.user_id is null
order by listed_pairs.line_number
limit 1;
