-- One row: the predictions that the codes in this file stand for.
select
    (select count(*) from user_codes)
    * (select count(*) from movie_codes) as num_predictions;
