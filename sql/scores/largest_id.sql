-- One row: the largest id of a user or a movie; a negative one counts as what it takes to hold.
select
    greatest(
        (select greatest(max(user_id), -1 - min(user_id)) from users),
        (select greatest(max(movie_id), -1 - min(movie_id)) from movies)
    ) as largest_id;
