-- At most one row: how the cell of exactly these inputs ended.
select status
from experiment_cells
where fingerprint = $fingerprint;
