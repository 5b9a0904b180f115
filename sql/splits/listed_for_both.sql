-- At most one row: a pair that is listed for dev and for test, and where first for each.
select
    dev.user_id,
    dev.movie_id,
    dev.line_number as dev_line,
    test.line_number as test_line
from listed_pairs as dev
inner join listed_pairs as test using (user_id, movie_id)
where dev.part = 'dev' and test.part = 'test'
order by dev.line_number
limit 1;
