"""A network's first layer over the rated cells alone; knows nothing of torch, nor of graphs.

onnxruntime multiplies dense vectors, of which 99 of 100 entries are zeros. Summing up the weights
of the movies that a user has rated comes to the same, in the time that those take.

Shape legend: B users in a batch, M movies of the vocabulary, H units, R rated cells of the batch.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from deeprec.models.baselines import Biases
from deeprec.ratings import Floats, rated_cells, with_values


@dataclass(frozen=True)
class FirstLayer:
    """Weights of the ratings, offsets, and weights of what is rated: none if that is not seen."""

    weight_MH: Floats
    offset_H: Floats
    rated_weight_MH: Floats

    @classmethod
    def read(cls, path: Path) -> "FirstLayer":
        """The one that was written."""
        with np.load(path) as arrays:
            return cls(**arrays)

    def write(self, path: Path) -> None:
        """Have it in a file."""
        np.savez(
            path,
            weight_MH=self.weight_MH,
            offset_H=self.offset_H,
            rated_weight_MH=self.rated_weight_MH,
        )

    def sums(self, values_BM: sparse.csr_array[np.float32]) -> Floats:
        """B x H: of what is stored, before the activation."""
        sum_BH: Floats = values_BM @ self.weight_MH
        if len(self.rated_weight_MH):
            sum_BH += rated_cells(values_BM) @ self.rated_weight_MH
        sum_BH += self.offset_H
        return sum_BH


def left_by_biases(
    values_BM: sparse.csr_array[np.float32], biases: Biases, user_bias_B: Floats
) -> sparse.csr_array[np.float32]:
    """What mean, movies' and users' biases leave of each rating."""
    user_bias_R = np.repeat(user_bias_B, np.diff(values_BM.indptr))
    movie_R = np.float32(biases.global_mean) + biases.movie_bias_M[values_BM.indices]
    return with_values(values_BM, values_BM.data - (movie_R + user_bias_R))
