"""Shape legend: P probed rows, M movies, R ratings."""

import numpy as np
from scipy import sparse

from deeprec.export.recurrent_probes import probe_rows, transposed
from deeprec.models.sequences import UNKNOWN

Ratings = sparse.csr_array[np.float32]

ROWS = [[3, 0, 4, 0], [0, 0, 0, 0], [5, 1, 0, 2]]
VALUES_UM: Ratings = sparse.csr_array(np.array(ROWS, dtype=np.float32))
DAYS_R = np.array([1, 2, 3, 4, 5], dtype=np.int32)


def test_probes_are_real_rows_and_the_edges() -> None:
    probes_PM, probe_days_R, row_P = probe_rows(VALUES_UM, DAYS_R)
    assert [*ROWS, ROWS[2], [0] * 4, [5, 0, 0, 0]] == probes_PM.toarray().tolist()
    assert [1, 2, 3, 4, 5, 3, 4, 5, 3] == probe_days_R.tolist()
    assert [0, 1, 2, 2, UNKNOWN, UNKNOWN] == row_P.tolist()


def test_probes_of_many_users_are_few() -> None:
    many_UM: Ratings = sparse.csr_array(np.ones((1000, 2), dtype=np.float32))
    probes_PM, _, row_P = probe_rows(many_UM, np.zeros(2000, dtype=np.int32))
    assert 64 + 1 + 2 == len(row_P) == probes_PM.shape[0]


def test_days_go_along_with_a_transposition() -> None:
    values_MU, days_R = transposed(VALUES_UM, DAYS_R)
    assert [list(column) for column in zip(*ROWS, strict=True)] == values_MU.toarray().tolist()
    assert [1, 3, 4, 2, 5] == days_R.tolist()
    back_UM, back_R = transposed(values_MU, days_R)
    assert (ROWS, DAYS_R.tolist()) == (back_UM.toarray().tolist(), back_R.tolist())
