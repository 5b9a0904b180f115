-- One row: what decides a user's rows in this file beside his vector, in one word.
select recipe
from recipe;
