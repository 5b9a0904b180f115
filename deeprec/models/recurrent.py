"""An exported recurrent network as a model like any other; knows nothing of torch.

Shape legend: U users of the ratings at hand, T users known since training, B users in a batch,
M movies of the vocabulary, L places of a code.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from deeprec.config.section import Device
from deeprec.errors import BundleError
from deeprec.models.inference import MOVIE_CODES
from deeprec.models.interface import MovieSide
from deeprec.models.recurrent_inference import (
    MOVIE_STEP,
    STATIONARY,
    USER_STEP,
    RecurrentCodes,
    open_recurrent,
)
from deeprec.models.sequences import UNKNOWN
from deeprec.ratings import UNDATED, Days, Floats, Ids, RatingMatrix, places_among

RECURRENT_USERS = "users.parquet"
RECURRENT_FILES = (USER_STEP, MOVIE_STEP, STATIONARY, RECURRENT_USERS)


@dataclass(frozen=True)
class RecurrentModel:
    """Products of users' and movies' codes, which their dated ratings have made step by step."""

    codes: RecurrentCodes
    user_ids_T: Ids
    looks_at_movies: bool = True
    needs_days: bool = True

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """M x L: the movies' codes after all ratings by users known since training."""
        place_U, is_known_U = places_among(self.user_ids_T, everyone.user_ids_U)
        known = everyone.select_users(is_known_U)
        lengths_T = np.zeros(len(self.user_ids_T), dtype=np.int64)
        lengths_T[place_U[is_known_U]] = np.diff(known.values_UM.indptr)
        values_TM: sparse.csr_array[np.float32] = sparse.csr_array(
            (known.values_UM.data, known.values_UM.indices, np.append(0, np.cumsum(lengths_T))),
            shape=(len(self.user_ids_T), everyone.num_movies),
        )
        rows_M = np.arange(everyone.num_movies)
        return {MOVIE_CODES: self.codes.movie_codes(values_TM, _days(known), rows_M)}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x M: predicted ratings, before the clip; see `interface.Model`."""
        place_B, is_known_B = places_among(self.user_ids_T, users.user_ids_U)
        rows_B = np.where(is_known_B & counted, place_B, UNKNOWN)
        codes_BL = self.codes.user_codes(users.values_UM, _days(users), rows_B)
        predicted_BM: Floats = codes_BL @ side[MOVIE_CODES].T
        return predicted_BM


def write_recurrent_users(folder: Path, user_ids_T: Ids) -> None:
    """Put the ids of the users known at training into a bundle that is being filled."""
    pq.write_table(pa.table({"user_id": user_ids_T}), folder / RECURRENT_USERS)


def open_recurrent_model(folder: Path, device: Device, num_threads: int) -> RecurrentModel:
    """The model whose files are in a folder; errors as of `deeprec.models.opening.open_model`."""
    try:
        table = pq.read_table(folder / RECURRENT_USERS, columns=["user_id"])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{folder / RECURRENT_USERS}: not a bundle's users: {error}") from error
    user_ids_T = np.asarray(table["user_id"].to_numpy(), dtype=np.int64)
    return RecurrentModel(open_recurrent(folder, device, num_threads), user_ids_T)


def _days(ratings: RatingMatrix) -> Days:
    """The day of every rating; BundleError where one has none."""
    if ratings.days_R is None or (ratings.days_R == UNDATED).any():
        raise BundleError(
            "a recurrent network reads ratings in time order, and some of these have no date; "
            "score them with a model of another kind, or take them in with dates"
        )
    return ratings.days_R
