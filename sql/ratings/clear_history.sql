-- Removes the moment before which nothing is here, unless it is later than these files' last.
delete from history
where
    forgotten_before <= (
        select max(retired_at)
        from retired_source_files
        where file_id in (select batch.file_id from batch)
    );
