-- One new row: a night that has begun.
insert into nights (night_id, night_of, status, started_at, num_arrived)
values ($night_id, $night_of, 'running', $started_at, 0);
