-- One new row: what a check found.
insert into check_results (subject, check_name, severity, num_rows, shown, checked_at)
values ($subject, $check_name, $severity, $num_rows, $shown, $checked_at);
