-- One new row a line that cannot be used.
insert into rejected_rows (file_id, line_number, text, reason)
select
    file_id,
    line_number,
    text,
    reason
from batch;
