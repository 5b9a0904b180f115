-- One row: the ratings of a day that came after they could be predicted, those that were, and
-- how far off that was.
select
    count(*) as num_ratings,
    count(predicted_rating) as num_predicted,
    sqrt(avg(pow(predicted_rating - rating, 2))) as rmse
from live_ratings
where measured_on = $measured_on;
