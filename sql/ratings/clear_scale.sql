-- Forgets the scale.
delete from rating_scale;
