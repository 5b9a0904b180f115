-- Removes the lists of splits that are no longer there.
delete from split_lists
where
    split_id not in (
        select splits.split_id
        from splits
    );
