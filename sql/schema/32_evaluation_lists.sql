-- One row an evaluation and predictor whose lists of best movies were looked at: of some users,
-- shares of what they liked that is in their lists, of movies that are in any, of rare ones.
create table if not exists evaluation_lists (
    bundle_id varchar not null,
    part split_part not null,
    lists_of varchar not null,
    top_n integer not null check (top_n > 0),
    num_users bigint not null check (num_users > 0),
    recall double not null,
    ndcg double not null,
    coverage double not null,
    rarely_rated double not null,
    evaluated_at timestamp not null
);
