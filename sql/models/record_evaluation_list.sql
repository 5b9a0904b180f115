-- One new row: what the lists of a predictor came to in an evaluation.
insert into evaluation_lists (
    bundle_id,
    part,
    lists_of,
    top_n,
    num_users,
    recall,
    ndcg,
    coverage,
    rarely_rated,
    evaluated_at
)
values (
    $bundle_id,
    $part,
    $lists_of,
    $top_n,
    $num_users,
    $recall,
    $ndcg,
    $coverage,
    $rarely_rated,
    $evaluated_at
);
