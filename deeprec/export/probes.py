"""Which users an exported graph is tried on; knows nothing of networks.

Shape legend: U training users, P probe users, M movies.
"""

import numpy as np
from scipy import sparse

from deeprec.ratings import RatingMatrix, RatingScale

_NUM_SPREAD = 64  # users who are spread evenly over all


def probe_users(train: RatingMatrix, scale: RatingScale) -> RatingMatrix:
    """Real and extreme users, whom a model need not have met, under numbers of their own.

    Users spread evenly over the training ones, the one with the most ratings, one without any,
    and two with a single rating, at either end of the scale.
    """
    values_PM = probe_vectors(train.values_UM, scale)
    ids_P = np.arange(values_PM.shape[0], dtype=np.int64)
    return RatingMatrix(ids_P, train.movie_ids_M, values_PM)


def probe_vectors(
    ratings_UM: sparse.csr_array[np.float32], scale: RatingScale
) -> sparse.csr_array[np.float32]:
    """P x M: the ratings of `probe_users`."""
    num_users, num_movies = ratings_UM.shape
    spread = np.linspace(0, num_users - 1, min(num_users, _NUM_SPREAD)).astype(np.int64)
    heaviest = np.argmax(np.diff(ratings_UM.indptr))
    ends = np.array([scale.minimum, scale.maximum], dtype=np.float32)
    extreme_PM = sparse.csr_array(
        (ends, np.array([0, num_movies - 1]), np.array([0, 0, 1, 2])), shape=(3, num_movies)
    )
    real_PM = ratings_UM[np.append(spread, heaviest)]
    return sparse.csr_array(sparse.vstack([real_PM, extreme_PM], format="csr"))


def met_users(train: RatingMatrix) -> RatingMatrix:
    """Users that a model has met: spread evenly, the one with most ratings, one with fewest."""
    counts_U = np.diff(train.values_UM.indptr)
    (met,) = np.nonzero(counts_U)
    spread = np.linspace(0, len(met) - 1, min(len(met), _NUM_SPREAD)).astype(int)
    places = [*spread, counts_U[met].argmax(), counts_U[met].argmin()]
    chosen_U = np.zeros(len(counts_U), dtype=bool)
    chosen_U[met[places]] = True
    return train.select_users(chosen_U)
