-- Removes `sorted_parts`.
drop table if exists sorted_parts;
