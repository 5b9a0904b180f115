-- Removes from `ratings` every rating that lost.
delete from ratings
where
    (file_id, line_number) in (
        select
            losers.file_id,
            losers.line_number
        from losers
    );
