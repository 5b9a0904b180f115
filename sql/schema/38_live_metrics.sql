-- One row a day, published run, segment and bucket: how far published predictions were off the
-- ratings that came after them, in rating units. `mean_error` is predicted minus actual.
create or replace view live_metrics as
with segmented as (
    select
        measured_on,
        run_id,
        bundle_id,
        predicted_rating - rating as error,
        unnest([
            {'segment': 'all', 'bucket': 'all'},
            {'segment': 'predicted by', 'bucket': predicted_by},
            {
                'segment': 'ratings of the user',
                'bucket': case
                    when num_user_ratings < 1 then '0'
                    when num_user_ratings < 10 then '1-9'
                    when num_user_ratings < 50 then '10-49'
                    when num_user_ratings < 200 then '50-199'
                    else '200+'
                end
            },
            {
                'segment': 'ratings of the movie',
                'bucket': case
                    when num_movie_ratings < 1 then '0'
                    when num_movie_ratings < 50 then '1-49'
                    when num_movie_ratings < 1000 then '50-999'
                    else '1000+'
                end
            }
        ]) as part
    from live_ratings
    where predicted_rating is not null
)

select
    measured_on,
    run_id,
    bundle_id,
    part.segment as segment,
    part.bucket as bucket,
    count(*) as num_ratings,
    sqrt(avg(error * error)) as rmse,
    avg(abs(error)) as mae,
    avg(error) as mean_error
from segmented
group by all;
