-- Makes `recipe`, one row: what decides a user's rows in this file beside his vector, in one word.
create or replace table recipe as
select $recipe::varchar as recipe;
