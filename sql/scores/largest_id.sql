-- One row: the largest id of a user or a movie, by distance from zero.
select
    greatest(
        (select max(abs(user_id)) from users),
        (select max(abs(movie_id)) from movies)
    ) as largest_id;
