-- One row: how many predictions this file publishes, and the sum of their hashes.
select
    count(*) as num_rows,
    sum(hash(user_id, movie_id, predicted_rating::decimal(9, 2))) as hash_sum
from predicted_ratings;
