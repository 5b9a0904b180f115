-- One new row: a split that has been applied, with the days its training ratings span.
insert into splits (
    split_id, definition, data_digest, first_train_day, last_train_day, built_at
)
select
    $split_id as split_id,
    $definition as definition,
    $data_digest as data_digest,
    min(ratings.rated_at)::date as first_train_day,
    max(ratings.rated_at)::date as last_train_day,
    $built_at as built_at
from ratings
inner join rating_parts using (user_id, movie_id)
where rating_parts.part = 'train';
