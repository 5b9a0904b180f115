"""Which users and movies an exported recurrent network is tried on; knows nothing of networks.

Shape legend: N rows, C columns, R ratings, P probed rows.
"""

import numpy as np
from scipy import sparse

from deeprec.models.sequences import UNKNOWN, Days
from deeprec.ratings import Ids

_NUM_SAMPLED = 64


def probe_rows(
    values_NC: sparse.csr_array[np.float32], days_R: Days
) -> tuple[sparse.csr_array[np.float32], Days, Ids]:
    """Rows to compare on, real and extreme: their ratings, the days of these, and which they are.

    Rows spread evenly, the one with the most ratings, and two who were not there at training: one
    without ratings, one with the first rating of the heaviest row.
    """
    num_ratings_N = np.diff(values_NC.indptr)
    num_rows, heaviest = len(num_ratings_N), int(np.argmax(num_ratings_N))
    sampled_P = np.linspace(0, num_rows - 1, min(num_rows, _NUM_SAMPLED)).astype(np.int64)
    real_P = np.append(sampled_P, heaviest)
    place_PC = _places(values_NC)[np.append(real_P, [heaviest, heaviest])]
    bounds = place_PC.indptr
    is_kept_R = np.ones(place_PC.nnz, dtype=bool)
    is_kept_R[bounds[-3] : bounds[-2]] = False
    is_kept_R[bounds[-2] + 1 :] = False
    kept_before = np.concatenate([[0], np.cumsum(is_kept_R)])
    place_R = place_PC.data[is_kept_R]
    values_PC: sparse.csr_array[np.float32] = sparse.csr_array(
        (values_NC.data[place_R], place_PC.indices[is_kept_R], kept_before[bounds]),
        shape=place_PC.shape,
    )
    return values_PC, days_R[place_R], np.append(real_P, [UNKNOWN, UNKNOWN])


def transposed(
    values_NC: sparse.csr_array[np.float32], days_R: Days
) -> tuple[sparse.csr_array[np.float32], Days]:
    """Columns x rows, with the days in its own order."""
    place_CN = _places(values_NC).T.tocsr()
    values_CN: sparse.csr_array[np.float32] = sparse.csr_array(
        (values_NC.data[place_CN.data], place_CN.indices, place_CN.indptr), shape=place_CN.shape
    )
    return values_CN, days_R[place_CN.data]


def _places(values_NC: sparse.csr_array[np.float32]) -> sparse.csr_array[np.int64]:
    """In each entry's place, where it stands in the data."""
    return sparse.csr_array(
        (np.arange(values_NC.nnz), values_NC.indices, values_NC.indptr), shape=values_NC.shape
    )
