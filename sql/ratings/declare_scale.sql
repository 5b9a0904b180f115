-- One new row: the scale that a format or a configuration states.
insert into rating_scale (minimum, maximum, step, declared)
values ($minimum, $maximum, $step, true);
