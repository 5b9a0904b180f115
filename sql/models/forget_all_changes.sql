-- Forgets what has become of bundles.
delete from model_changes;
