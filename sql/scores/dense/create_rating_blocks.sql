-- Makes `rating_blocks`, one row a user and block of movies, empty, with the columns of `batch`.
create table if not exists rating_blocks as
select
    user_id,
    block,
    ratings
from batch
where false;
