-- Fills `user_vectors`, one row a user: movie indexes in order, ratings and days beside them.
insert into user_vectors (user_index, user_id, movie_indexes, ratings, rating_days)
with vectors as (
    select
        ratings.user_id,
        -- Sorted once, by the first field: three lists in order take twice the time and memory.
        list_sort(
            list(
                struct_pack(
                    movie_index := movies.movie_index,
                    rating := ratings.rating,
                    day := (ratings.rated_at::date - date '1970-01-01')::integer
                )
            )
        ) as entries
    from ratings
    inner join movies using (movie_id)
    group by ratings.user_id
)

select
    users.user_index,
    users.user_id,
    list_transform(
        coalesce(vectors.entries, []), lambda entry: entry['movie_index']
    ) as movie_indexes,
    list_transform(coalesce(vectors.entries, []), lambda entry: entry['rating']) as ratings,
    list_transform(coalesce(vectors.entries, []), lambda entry: entry['day']) as rating_days
from users
left join vectors using (user_id)
order by users.user_index;
