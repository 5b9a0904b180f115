-- Makes `touched_users`, one row a user of whom the files of `batch` say anything.
create or replace temp table touched_users as
select user_id from ratings
where file_id in (select batch.file_id from batch)
union
select user_id from superseded_ratings
where file_id in (select batch.file_id from batch)
union
select user_id from retired_ratings
where file_id in (select batch.file_id from batch)
union
select user_id from user_rows
where file_id in (select batch.file_id from batch)
union
select user_id from retired_user_rows
where file_id in (select batch.file_id from batch);
