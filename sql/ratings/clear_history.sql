-- Forgets how far back the past can be put together.
delete from history;
