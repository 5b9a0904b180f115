-- Keeps apart what some files brought to `rejected_rows`, before it is removed from there.
insert into retired_rejected_rows (file_id, line_number, text, reason)
select
    file_id,
    line_number,
    text,
    reason
from rejected_rows
where file_id in (select batch.file_id from batch);
