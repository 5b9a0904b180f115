-- One row a day, published run, segment and bucket: how far published predictions were off the
-- ratings that came after them, in rating units. `mean_error` is predicted minus actual.
create or replace view live_metrics as
with errors as (
    select
        measured_on,
        run_id,
        bundle_id,
        predicted_by,
        num_user_ratings,
        num_movie_ratings,
        predicted_rating - rating as error
    from live_ratings
    where predicted_rating is not null
),

segmented as (
    select
        *,
        'all' as segment,
        'all' as bucket
    from errors
    union all
    select
        *,
        'predicted by' as segment,
        predicted_by as bucket
    from errors
    union all
    select
        *,
        'ratings of the user' as segment,
        case
            when num_user_ratings < 1 then '0'
            when num_user_ratings < 10 then '1-9'
            when num_user_ratings < 50 then '10-49'
            when num_user_ratings < 200 then '50-199'
            else '200+'
        end as bucket
    from errors
    union all
    select
        *,
        'training ratings of the movie' as segment,
        case
            when num_movie_ratings < 1 then '0'
            when num_movie_ratings < 50 then '1-49'
            when num_movie_ratings < 1000 then '50-999'
            else '1000+'
        end as bucket
    from errors
)

select
    measured_on,
    run_id,
    bundle_id,
    segment,
    bucket,
    count(*) as num_ratings,
    sqrt(avg(error * error)) as rmse,
    avg(abs(error)) as mae,
    avg(error) as mean_error
from segmented
group by measured_on, run_id, bundle_id, segment, bucket;
