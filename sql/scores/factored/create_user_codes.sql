-- Makes `user_codes`, one row a user, empty, with the columns of `batch`.
create or replace table user_codes as
select
    user_id,
    code
from batch
where false;
