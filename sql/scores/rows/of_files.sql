-- One row a user and movie: what the shards' Parquet files hold.
select
    user_id,
    movie_id,
    predicted_rating
from read_parquet($files, hive_partitioning = false);
