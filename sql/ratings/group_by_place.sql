-- Has ids within 4 million of each other grouped by place, not by hash: faster where threads are
-- few. Each takes a table of its own, of some tens of MB, which no limit knows of.
set perfect_ht_threshold = case when current_setting('threads') <= 4 then 22 else 12 end; -- noqa: PRS
