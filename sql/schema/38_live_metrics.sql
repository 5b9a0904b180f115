-- One row a day, published run, segment and bucket: how far published predictions were off the
-- ratings that came after them, in rating units. `mean_error` is predicted minus actual.
create or replace view live_metrics as
with errors as (
    select
        measured_on,
        run_id,
        bundle_id,
        predicted_rating - rating as error,
        'all' as everything,
        predicted_by as by_predictor,
        case
            when num_user_ratings < 1 then '0'
            when num_user_ratings < 10 then '1-9'
            when num_user_ratings < 50 then '10-49'
            when num_user_ratings < 200 then '50-199'
            else '200+'
        end as by_activity,
        case
            when num_movie_ratings < 1 then '0'
            when num_movie_ratings < 50 then '1-49'
            when num_movie_ratings < 1000 then '50-999'
            else '1000+'
        end as by_popularity
    from live_ratings
    where predicted_rating is not null
)

select
    measured_on,
    run_id,
    bundle_id,
    case
        when grouping(everything) = 0 then 'all'
        when grouping(by_predictor) = 0 then 'predicted by'
        when grouping(by_activity) = 0 then 'ratings of the user'
        else 'training ratings of the movie'
    end as segment,
    coalesce(everything, by_predictor, by_activity, by_popularity) as bucket,
    count(*) as num_ratings,
    sqrt(avg(error * error)) as rmse,
    avg(abs(error)) as mae,
    avg(error) as mean_error
from errors
group by
    measured_on, run_id, bundle_id,
    grouping sets ((everything), (by_predictor), (by_activity), (by_popularity));
