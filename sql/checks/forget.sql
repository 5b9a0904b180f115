-- Forgets what a check found before in the same night or run, which goes through it again.
delete from check_results
where subject = $subject and check_name = $check_name;
