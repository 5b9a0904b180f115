"""Probabilistic matrix factorisation by alternating least squares; says nothing of networks.

Shape legend: U users, M movies, K factors, N rows, C columns, R ratings.
"""

import numpy as np
from scipy import sparse

from deeprec.ratings import Floats

_SPREAD = 0.1  # of the factors that the first sweep starts from


def fit_factors(
    left_UM: sparse.csr_array[np.float32], num_factors: int, l2: float, num_sweeps: int, seed: int
) -> tuple[Floats, Floats]:
    """U x K and M x K whose products approach the stored entries of `left_UM`.

    The maximum a posteriori fit of Salakhutdinov and Mnih (2007), equation 4: the sum of squared
    errors plus `l2` times each factor's square, descended by solving for users and movies in
    turn. A row without entries gets zeros.
    """
    rng = np.random.default_rng(seed)
    left_MU = left_UM.T.tocsr()
    spread = np.float32(_SPREAD)
    movies_MK = spread * rng.standard_normal((left_UM.shape[1], num_factors), dtype=np.float32)
    users_UK = np.zeros((left_UM.shape[0], num_factors), dtype=np.float32)
    for _ in range(num_sweeps):
        users_UK = _solve(left_UM, movies_MK, l2)
        movies_MK = _solve(left_MU, users_UK, l2)
    return users_UK, movies_MK


def _solve(left_NC: sparse.csr_array[np.float32], columns_CK: Floats, l2: float) -> Floats:
    """N x K: ridge regression of each row's entries on the factors of their columns."""
    ridge_KK = l2 * np.eye(columns_CK.shape[1], dtype=np.float32)
    rows_NK = np.zeros((left_NC.shape[0], columns_CK.shape[1]), dtype=np.float32)
    for row in np.flatnonzero(np.diff(left_NC.indptr)):
        entries = slice(left_NC.indptr[row], left_NC.indptr[row + 1])
        rated_RK = columns_CK[left_NC.indices[entries]]
        rows_NK[row] = np.linalg.solve(
            rated_RK.T @ rated_RK + ridge_KK, rated_RK.T @ left_NC.data[entries]
        )
    return rows_NK
