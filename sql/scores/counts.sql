-- One row: what this file publishes beside its predictions.
with biased_users as (
    select count(*) as num_bias_users
    from users
    where predicted_by = 'bias'
),

biased_movies as (
    select count(*) as num_bias_movies
    from movies
    where predicted_by = 'bias'
)

select
    (select count(*) from recommendations) as num_recommendations,
    biased_users.num_bias_users,
    biased_movies.num_bias_movies
from biased_users
cross join biased_movies;
