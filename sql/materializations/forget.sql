-- Forgets from which ratings a relation was built.
delete from materializations
where relation = $relation;
