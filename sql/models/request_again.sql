-- Makes a bundle the newest: training it was asked for once more.
update models
set requested_at = $requested_at
where bundle_id = $bundle_id;
