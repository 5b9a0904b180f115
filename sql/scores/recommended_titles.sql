-- One row a movie recommended to one user, best first.
select
    recommendations.rank,
    movies.title,
    movies.year,
    recommendations.predicted_rating
from recommendations
inner join movies on recommendations.movie_id = movies.movie_id
where recommendations.user_id = $user_id
order by recommendations.rank;
