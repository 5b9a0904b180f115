-- One row: users, movies and ratings in the warehouse, and the ratings in the vectors.
select
    (select count(*) from users) as num_users,
    (select count(*) from movies) as num_movies,
    (select count(*) from ratings) as num_ratings,
    (select coalesce(sum(len(movie_indexes)), 0)::bigint from user_vectors) as num_in_vectors;
