-- Makes `prediction_scale`, one row: the lowest and highest rating that is predicted.
create or replace table prediction_scale as
select
    $lowest::float as lowest,
    $highest::float as highest;
