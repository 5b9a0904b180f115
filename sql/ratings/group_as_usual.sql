-- Undoes `group_by_place`.
reset perfect_ht_threshold;
