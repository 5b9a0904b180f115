-- One row a comparison of a challenger with the champion on the same held-out ratings: RMSE of
-- both and of the challenger's bias floor, and what the difference comes to, with a 95 % interval
-- over users. Without a champion the floor stands in its place.
create table if not exists challenges (
    challenger varchar not null,
    champion varchar,
    part split_part not null,
    num_ratings bigint not null,
    challenger_rmse double not null,
    champion_rmse double,
    floor_rmse double not null,
    difference double not null,
    difference_low double,
    difference_high double,
    is_promoted boolean not null,
    reason varchar not null,
    decided_at timestamp not null
);
