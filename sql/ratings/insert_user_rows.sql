-- One new row a user that was read.
insert into user_rows (user_id, file_id, line_number)
select
    user_id,
    file_id,
    line_number
from batch;
