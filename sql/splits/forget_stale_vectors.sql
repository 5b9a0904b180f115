-- Removes the vectors of splits that are no longer there.
delete from split_vectors
where
    split_id not in (
        select splits.split_id
        from splits
    );
