-- At most one row: the scale all ratings stand on. `declared` is false when it was observed,
-- in which case training observes it anew on its own part.
create table if not exists rating_scale (
    minimum double not null,
    maximum double not null,
    step double,
    declared boolean not null
);
