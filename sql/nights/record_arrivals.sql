-- Enters how many ratings had come by a night.
update nights
set num_arrived = $num_arrived
where night_id = $night_id;
