-- Forgets which ratings went through a night's checks last.
delete from materializations
where relation = 'checks';
