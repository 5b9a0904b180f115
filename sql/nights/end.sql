-- Enters how a night has ended.
update nights
set
    status = $status,
    finished_at = $finished_at
where night_id = $night_id;
