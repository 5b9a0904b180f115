-- Keeps apart what some files brought to `user_rows`, before it is removed from there.
insert into retired_user_rows (user_id, file_id, line_number)
select
    user_id,
    file_id,
    line_number
from user_rows
where file_id in (select batch.file_id from batch);
