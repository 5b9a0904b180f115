-- Removes the counts of splits that are no longer there.
delete from split_counts
where
    split_id not in (
        select splits.split_id
        from splits
    );
