-- One row a check that a night or a scoring run went through, in order.
select
    check_name as name,
    severity,
    num_rows,
    shown
from check_results
where subject = $subject
order by checked_at, check_name;
