-- Forgets a run's profile, which is about to be taken again.
delete from profiles
where run_id = $run_id;
