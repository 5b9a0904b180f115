-- One new row: how a challenger fared against the champion.
insert into challenges (
    challenger,
    champion,
    part,
    num_ratings,
    challenger_rmse,
    champion_rmse,
    floor_rmse,
    difference,
    difference_low,
    difference_high,
    is_promoted,
    reason,
    decided_at
)
values (
    $challenger,
    $champion,
    $part,
    $num_ratings,
    $challenger_rmse,
    $champion_rmse,
    $floor_rmse,
    $difference,
    $difference_low,
    $difference_high,
    $is_promoted,
    $reason,
    $decided_at
);
