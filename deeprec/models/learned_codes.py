"""Models that have learned a code a user; whoever has rated since is folded in.

Shape legend: U users of the ratings at hand, T users known since training, B users in a batch,
M movies of the vocabulary, C a code, R rated cells of one user.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import sparse

from deeprec.config.models import Activation, AutoencoderConfig
from deeprec.config.section import Device
from deeprec.errors import BundleError
from deeprec.models.baselines import Biases
from deeprec.models.inference import MOVIE_CODES, PRODUCT_GRAPH, Graph, open_graph
from deeprec.models.interface import MovieSide
from deeprec.ratings import Digests, Floats, Ids, RatingMatrix, digest_by_row, places_among

ENCODER = "movies.onnx"
USERS = "users.parquet"
_FIXED = 1e9  # penalty on what no ratings may move
_LEAST_PENALTY = 1e-3  # keeps the solution one where a configuration asks for no pull at all
_CELLS = 2**23  # of the dense batches in which movies' vectors are encoded


@dataclass(frozen=True)
class UserCodes:
    """What training has learned of each user who had ratings: ids, ascending, and a code each.

    `digest_T` is of the ratings that it has learned the code from.
    """

    user_ids_T: Ids
    codes_TC: Floats
    digest_T: Digests

    @cached_property
    def mean_C(self) -> npt.NDArray[np.float64]:
        """The mean of the codes."""
        return np.asarray(self.codes_TC.mean(axis=0, dtype=np.float64))


@dataclass(frozen=True)
class CodeModel:
    """Products of a code a user, learned in training, and a code a movie, made of its ratings.

    A movie's code is what the encoder makes of the movie's vector over the T users known since
    training. A learned code stands for as long as its user's ratings are those it was learned from.
    Whoever has others is folded in, known or not: his code is the ridge solution for his own
    ratings, the movies' codes held fixed. That is AutoRec's loss for one user, but for the pull:
    to the mean user's code instead of zero, for a handful of ratings to say how he differs from
    the mean.
    """

    encoder: Graph
    product: Graph
    known: UserCodes
    penalty_C: npt.NDArray[np.float64]
    looks_at_movies: bool = True
    needs_days: bool = False
    activation: Activation = "identity"
    unit: float = 1.0

    def movie_side(self, everyone: RatingMatrix) -> MovieSide:
        """M x C: the movies' codes."""
        vectors_MT = self._vectors_MT(everyone)
        batch_size = max(1, _CELLS // max(vectors_MT.shape[1], 1))
        codes = [
            self.encoder.run(
                self.encoder.vectors(vectors_MT[start : start + batch_size]), MOVIE_CODES
            )
            for start in range(0, vectors_MT.shape[0], batch_size)
        ]
        return {MOVIE_CODES: np.concatenate(codes)}

    def predict(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """See `interface.Model`."""
        codes_BC = self.user_codes(users, side, counted=counted)
        return self.products(codes_BC, self.movie_codes(side))

    def user_codes(self, users: RatingMatrix, side: MovieSide, *, counted: bool) -> Floats:
        """B x C: codes learned from these very ratings, and for others those that fit them best."""
        place_B, is_known_B = self._places(users.user_ids_U)
        codes_BC = self.known.codes_TC[place_B]
        is_learned_B = is_known_B & (self.known.digest_T[place_B] == digest_by_row(users.values_UM))
        for row in np.flatnonzero(~(is_learned_B & counted)):
            codes_BC[row] = self._fold_in(users.values_UM[[row]], side[MOVIE_CODES])
        return codes_BC

    def movie_codes(self, side: MovieSide) -> Floats:
        """See `interface.Factors`."""
        return side[MOVIE_CODES]

    def products(self, user_codes_BC: Floats, movie_codes_MC: Floats) -> Floats:
        """See `interface.Factors`."""
        return self.product.products(user_codes_BC, movie_codes_MC)

    def _places(self, user_ids_U: Ids) -> tuple[Ids, npt.NDArray[np.bool_]]:
        """Each user's row among the known ones, and whether he is one of them."""
        return places_among(self.known.user_ids_T, user_ids_U)

    def _vectors_MT(self, everyone: RatingMatrix) -> sparse.csr_array[np.float32]:
        """A row a movie, over the users known since training; others' ratings are left out."""
        place_U, is_known_U = self._places(everyone.user_ids_U)
        known = everyone.values_UM[is_known_U].tocoo()
        columns = place_U[is_known_U][known.row]
        shape = (everyone.num_movies, len(self.known.user_ids_T))
        return sparse.csr_array((known.data, (known.col, columns)), shape=shape)

    def _fold_in(self, ratings_1M: sparse.csr_array[np.float32], movie_codes_MC: Floats) -> Floats:
        """C: argmin of squared errors plus the penalties on its distance to the mean code.

        Solved in whichever is smaller, ratings or code, over coordinates that the penalties have
        scaled: the two are equal (Woodbury), and neither sees how far the penalties are apart.
        """
        width_C = self.penalty_C**-0.5
        seen_RC = movie_codes_MC[ratings_1M.indices].astype(np.float64)
        left_R = ratings_1M.data - seen_RC @ self.known.mean_C
        seen_RC *= width_C
        num_ratings, num_codes = seen_RC.shape
        if num_ratings < num_codes:
            gram_RR = seen_RC @ seen_RC.T + np.eye(num_ratings)
            moved_C = seen_RC.T @ np.linalg.solve(gram_RR, left_R)
        else:
            gram_CC = seen_RC.T @ seen_RC + np.eye(num_codes)
            moved_C = np.linalg.solve(gram_CC, seen_RC.T @ left_R)
        code_C = self.known.mean_C + width_C * moved_C
        return np.asarray(code_C, dtype=np.float32)


def open_code_model(
    folder: Path,
    config: AutoencoderConfig,
    biases: Biases,
    fold_in_ridge: float,
    *,
    device: Device,
    num_threads: int,
) -> CodeModel:
    """The model whose files are in a folder; arguments and errors as of `opening.open_model`."""
    encoder = open_graph(folder / ENCODER, device, num_threads)
    product = open_graph(folder / PRODUCT_GRAPH, device, num_threads)
    known = _read_codes(folder, encoder.num_columns)
    penalty_C = _penalty(config, known.codes_TC.shape[1], biases, fold_in_ridge)
    return CodeModel(encoder, product, known, penalty_C)


def write_user_codes(folder: Path, users: RatingMatrix, codes_UC: Floats) -> None:
    """Put the codes of the users known at training into a bundle that is being filled.

    Args:
        folder: the bundle's, or a member's within it.
        users: with the ratings that the codes were learned from.
        codes_UC: a code each.
    """
    flat = pa.array(codes_UC.ravel())
    columns = {
        "user_id": users.user_ids_U,
        "code": pa.FixedSizeListArray.from_arrays(flat, codes_UC.shape[1]),
        "digest": digest_by_row(users.values_UM),
    }
    pq.write_table(pa.table(columns), folder / USERS)


def _read_codes(folder: Path, num_users: int) -> UserCodes:
    """The codes of a bundle whose encoder takes so many users.

    Raises:
        BundleError: its file cannot be read, or is of other users.
    """
    try:
        table = pq.read_table(folder / USERS, columns=["user_id", "code", "digest"])
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{folder / USERS}: not a bundle's user codes: {error}") from error
    if table.num_rows != num_users:
        raise BundleError(
            f"{folder}: the encoder takes {num_users} users, {USERS} has {table.num_rows}; "
            "the bundle was put together wrongly"
        )
    flat = table["code"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    user_ids_T = np.asarray(table["user_id"].to_numpy(), dtype=np.int64)
    codes_TC = np.asarray(flat, np.float32).reshape(num_users, -1)
    return UserCodes(user_ids_T, codes_TC, np.asarray(table["digest"].to_numpy(), np.uint64))


def _penalty(
    config: AutoencoderConfig, num_codes: int, biases: Biases, ridge: float
) -> npt.NDArray[np.float64]:
    """C: how each part of a folded-in code is held: weights, his offset, the movies' biases."""
    penalty_C = np.full(num_codes, max(ridge, _LEAST_PENALTY))
    is_centred = config.center != "none"
    penalty_C[-2 if is_centred else -1] = max(biases.user_damping, _LEAST_PENALTY)
    if is_centred:
        penalty_C[-1] = _FIXED
    return penalty_C
