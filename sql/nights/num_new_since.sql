-- One row: how many ratings there are, and how many of them came after a moment.
select
    count(*) as num_ratings,
    count(*) filter (where source_files.ingested_at > $moment) as num_new
from ratings
inner join source_files using (file_id);
