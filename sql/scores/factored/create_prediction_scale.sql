-- Makes `prediction_scale`, one row: the lowest and highest rating that is predicted, and the unit
-- that predictions are counted in where they come out of a SELU.
create or replace table prediction_scale as
select
    $lowest::float as lowest,
    $highest::float as highest,
    $unit::float as unit;
