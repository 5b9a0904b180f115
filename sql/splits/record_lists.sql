-- One new row a part that has a list: how many pairs it lists, repeats, and lists in vain.
insert into split_lists (split_id, part, num_pairs, num_repeated, num_absent)
select
    $split_id as split_id,
    listed_pairs.part,
    count(*) as num_pairs,
    sum(listed_pairs.num_times - 1) as num_repeated,
    count(*) filter (where ratings.user_id is null) as num_absent
from listed_pairs
left join ratings using (user_id, movie_id)
group by listed_pairs.part;
