-- One row: the users who are touched and still there, and their ratings.
select
    (select count(*) from users semi join touched_users using (user_id)) as num_users,
    (select count(*) from ratings semi join touched_users using (user_id)) as num_ratings;
