-- Makes `movies`, one row a movie: its title, its training ratings, what predicts its ratings.
create or replace table movies as
select
    movie_id,
    title,
    year,
    num_train_ratings,
    if(num_train_ratings > 0, 'model', 'bias') as predicted_by
from batch;
