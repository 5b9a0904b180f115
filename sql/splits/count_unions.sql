-- Two new rows: training with dev, and dev with test, where a user or movie of both counts once.
insert into split_unions (split_id, parts, num_ratings, num_users, num_movies)
select
    $split_id as split_id,
    ['train', 'dev'] as parts,
    count(*) as num_ratings,
    count(distinct user_id) as num_users,
    count(distinct movie_id) as num_movies
from rating_parts
where part in ('train', 'dev')
union all
select
    $split_id as split_id,
    ['dev', 'test'] as parts,
    count(*) as num_ratings,
    count(distinct user_id) as num_users,
    count(distinct movie_id) as num_movies
from rating_parts
where part in ('dev', 'test');
