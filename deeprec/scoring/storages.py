"""How the predictions of all users lie in the published file: in blocks, as rows, or as factors.

Shape legend: S users of a shard, B users in a batch, N movies of the warehouse, K blocks of them
or recommendations, T top.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from deeprec.config.scoring import GROUP_ROWS, ScoreConfig
from deeprec.models.bundles import Bundle
from deeprec.models.factored import FactoredPredictor, scorer_of
from deeprec.models.prediction import (
    DECIMALS,
    Hundredths,
    Predictor,
    best_unrated,
    ends_in_hundredths,
    in_hundredths,
)
from deeprec.ratings import Floats, Ids, RatingMatrix
from deeprec.warehouse.database import Database

_BLOCK_MOVIES = 512  # whose ratings are one list: a pair is found in the fewest, in milliseconds


@dataclass(frozen=True)
class ScoredShard:
    """A shard's rows: of its predictions in the storage's own form, and of recommendations."""

    predictions: pa.Table
    recommendations: pa.Table


class Storage(Protocol):
    """A form of `predicted_ratings`."""

    def score_users(self, users: RatingMatrix) -> ScoredShard:
        """Everything that is kept of a shard's users."""

    def create(self, scores: Database) -> None:
        """Make `predicted_ratings` in a new file, without any user."""

    def insert(self, scores: Database, predictions: pa.Table) -> None:
        """Put a shard's predictions into the file."""


def open_storage(config: ScoreConfig, predictor: Predictor, schema: pa.Schema) -> Storage:
    """The one that the configuration asks for.

    Args:
        config: the storage, and what is computed for it.
        predictor: of all users.
        schema: of `predicted_ratings`.

    Raises:
        BundleError: the model's predictions cannot be kept so.
    """
    match config.form:
        case "factored":
            return FactoredStorage(config, FactoredPredictor.of(predictor), schema)
        case "rows":
            return RowStorage(config, predictor, scorer_of(predictor), schema)
        case "dense":
            return DenseStorage(config, predictor, scorer_of(predictor), schema)


@dataclass(frozen=True)
class DenseStorage:
    """A list of ratings a user and block of movies, and a view of a row a user and movie.

    DuckDB writes a list faster than its numbers as rows, whose ids it has to pack too; and one
    movie's predictions are in one block of each user's.
    """

    config: ScoreConfig
    predictor: Predictor
    scorer: Predictor | FactoredPredictor
    schema: pa.Schema

    def score_users(self, users: RatingMatrix) -> ScoredShard:
        """See `Storage`."""
        hundredths_SN, recommended = _score_densely(self, users)
        user_ids_S = users.user_ids_U.astype(self.schema.field("user_id").type.to_pandas_dtype())
        first_K = np.arange(0, users.num_movies, _BLOCK_MOVIES)
        starts_SK = users.num_movies * np.arange(users.num_users)[:, None] + first_K
        bounds = pa.array(np.append(starts_SK, hundredths_SN.size))
        ratings = _decimals(hundredths_SN.ravel(), self.schema)
        predictions = pa.table(
            {
                "user_id": np.repeat(user_ids_S, len(first_K)),
                "block": np.tile(np.arange(len(first_K), dtype=np.int32), users.num_users),
                "ratings": pa.LargeListArray.from_arrays(bounds, ratings),
            }
        )
        # DuckDB's threads take a batch each; a row group of ours has about as many rows.
        rows_at_once = max(1, GROUP_ROWS // len(first_K)) * len(first_K)
        batches = predictions.to_batches(max_chunksize=rows_at_once)
        return ScoredShard(pa.Table.from_batches(batches), recommended)

    def create(self, scores: Database) -> None:
        """See `Storage`; the movies' places and the view are there from the beginning."""
        movie_ids_N = self.predictor.movie_ids_N
        block_N, place_N = np.divmod(np.arange(len(movie_ids_N), dtype=np.int32), _BLOCK_MOVIES)
        movie_ids = pa.array(movie_ids_N, self.schema.field("movie_id").type)
        places = pa.table({"movie_id": movie_ids, "block": block_N, "place": place_N + 1})
        scores.run_with("scores/dense/create_movie_places", places)
        columns = [
            self.schema.field("user_id"),
            pa.field("block", pa.int32()),
            pa.field("ratings", pa.list_(self.schema.field("predicted_rating").type)),
        ]
        scores.run_with("scores/dense/create_rating_blocks", pa.schema(columns).empty_table())
        scores.run("scores/dense/create_predicted_ratings")

    def insert(self, scores: Database, predictions: pa.Table) -> None:
        """See `Storage`."""
        scores.run_with("scores/dense/insert", predictions)


@dataclass(frozen=True)
class RowStorage:
    """A row a user and movie, in Parquet files that any engine reads; a view comes in the end."""

    config: ScoreConfig
    predictor: Predictor
    scorer: Predictor | FactoredPredictor
    schema: pa.Schema

    def score_users(self, users: RatingMatrix) -> ScoredShard:
        """See `Storage`."""
        hundredths_SN, recommended = _score_densely(self, users)
        id_type = self.schema.field("user_id").type.to_pandas_dtype()
        columns = [
            pa.array(np.repeat(users.user_ids_U.astype(id_type), users.num_movies)),
            pa.array(np.tile(users.movie_ids_M.astype(id_type), users.num_users)),
            _decimals(hundredths_SN.ravel(), self.schema),
        ]
        return ScoredShard(pa.Table.from_arrays(columns, schema=self.schema), recommended)

    def create(self, scores: Database) -> None:
        """See `Storage`; nothing, before the files are there."""

    def insert(self, scores: Database, predictions: pa.Table) -> None:
        """See `Storage`; nothing, for they stay in their file."""


def _score_densely(
    storage: DenseStorage | RowStorage, users: RatingMatrix
) -> tuple[Hundredths, pa.Table]:
    """S x N: every prediction; and the recommendations."""
    config, bundle = storage.config, storage.predictor.bundle
    hundredths_SN = np.empty((users.num_users, users.num_movies), dtype=np.int32)
    barred_N = storage.predictor.barred_N(config.min_ratings)
    recommended = []
    for rows, value_BN in storage.scorer.unclipped_batches(users, config.batch_size):
        in_hundredths(value_BN, bundle, out_BN=hundredths_SN[rows])
        batch = users.select_rows(rows)
        best = _Best.of(batch, value_BN, config.top_n, barred_N)
        recommended.append(best.table(batch, best.value_K, bundle, storage.schema))
    return hundredths_SN, pa.concat_tables(recommended)


@dataclass(frozen=True)
class FactoredStorage:
    """A code a user and a code a movie, and a view that multiplies them."""

    config: ScoreConfig
    predictor: FactoredPredictor
    schema: pa.Schema

    def score_users(self, users: RatingMatrix) -> ScoredShard:
        """See `Storage`."""
        codes: list[pa.Table] = []
        recommended: list[pa.Table] = []
        for rows, code_BK in self.predictor.code_batches(users):
            batch = users.select_rows(rows)
            codes.append(self._table("user_id", batch.user_ids_U, code_BK))
            recommended.extend(self._recommended(batch, code_BK))
        return ScoredShard(pa.concat_tables(codes), pa.concat_tables(recommended))

    def _recommended(self, users: RatingMatrix, code_BK: Floats) -> Iterator[pa.Table]:
        bundle, top_n = self.predictor.predictor.bundle, self.config.top_n
        barred_N = self.predictor.predictor.barred_N(self.config.min_ratings)
        for start in range(0, users.num_users, self.config.batch_size):
            rows = slice(start, start + self.config.batch_size)
            batch = users.select_rows(rows)
            best = _Best.of(batch, self.predictor.products(code_BK[rows]), top_n, barred_N)
            ratings_K = self.predictor.activated(best.value_K)
            yield best.table(batch, ratings_K, bundle, self.schema)

    def create(self, scores: Database) -> None:
        """See `Storage`; the movies' codes and the view are there from the beginning."""
        predictor = self.predictor.predictor
        movies = self._table("movie_id", predictor.movie_ids_N, self.predictor.movie_codes_NK)
        scores.run_with("scores/factored/create_movie_codes", movies)
        nobody = movies.slice(0, 0).rename_columns(["user_id", "code"])
        scores.run_with("scores/factored/create_user_codes", nobody)
        ends = ends_in_hundredths(predictor.bundle.manifest.scale)
        lowest, highest = (end / 10**DECIMALS for end in ends)
        unit = self.predictor.factors.unit
        scores.run(
            "scores/factored/create_prediction_scale", lowest=lowest, highest=highest, unit=unit
        )
        scores.run(f"scores/factored/{self.predictor.factors.activation}")
        scores.run("scores/factored/create_predicted_ratings")

    def insert(self, scores: Database, predictions: pa.Table) -> None:
        """See `Storage`."""
        scores.run_with("scores/factored/insert", predictions)

    def _table(self, id_name: str, ids_B: Ids, code_BK: Floats) -> pa.Table:
        ids = pa.array(ids_B, self.schema.field(id_name).type)
        codes = pa.FixedSizeListArray.from_arrays(code_BK.ravel(), code_BK.shape[1])
        return pa.table({id_name: ids, "code": codes})


@dataclass(frozen=True)
class _Best:
    """The best unrated movies of a batch of users, best first within each: K of them in all."""

    row_K: Ids
    place_K: Ids
    column_K: Ids
    value_K: Floats

    @classmethod
    def of(
        cls,
        users: RatingMatrix,
        value_BN: Floats,
        top_n: int,
        barred_N: npt.NDArray[np.bool_],
    ) -> "_Best":
        """Those of the highest values."""
        top_BT = best_unrated(value_BN, users, top_n, barred_N)
        row_K, place_K = np.nonzero(top_BT >= 0)
        column_K = top_BT[row_K, place_K]
        return cls(row_K, place_K, column_K, value_BN[row_K, column_K])

    def table(
        self, users: RatingMatrix, unclipped_K: Floats, bundle: Bundle, schema: pa.Schema
    ) -> pa.Table:
        """Rows of `recommendations`."""
        return pa.table(
            {
                "user_id": users.user_ids_U[self.row_K],
                "rank": self.place_K + 1,
                "movie_id": users.movie_ids_M[self.column_K],
                "predicted_rating": _decimals(in_hundredths(unclipped_K, bundle), schema),
            }
        )


def _decimals(hundredths: Hundredths, schema: pa.Schema) -> pa.Array:
    """Fixed-point numbers over the same memory: a decimal32 is its digits as an integer."""
    decimal_type = schema.field("predicted_rating").type
    return pa.Array.from_buffers(decimal_type, len(hundredths), [None, pa.py_buffer(hundredths)])
