-- Removes splits of other ratings than the present ones.
delete from splits
where data_digest != $data_digest;
