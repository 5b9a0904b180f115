-- Removes the counts of unions of splits that are no longer there.
delete from split_unions
where
    split_id not in (
        select splits.split_id
        from splits
    );
