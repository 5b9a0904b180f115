-- Marks as failed every night that says it is running: only one can be.
update nights
set
    status = 'failed',
    finished_at = current_timestamp::timestamp
where status = 'running';
