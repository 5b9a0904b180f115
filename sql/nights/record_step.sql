-- One new row: what a step of a night did.
insert into night_steps (night_id, place, step, outcome, said, started_at, seconds)
values ($night_id, $place, $step, $outcome, $said, $started_at, $seconds);
