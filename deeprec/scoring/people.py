"""People who come with a file of ratings, and the model as it stands for those it has not met.

Nothing here writes to the warehouse, nor needs one unless the model looks at everybody's ratings.

Shape legend: U people, M movies of the bundle's vocabulary, R ratings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from scipy import sparse

from deeprec.config.ingestion import IngestConfig
from deeprec.config.run import Config
from deeprec.errors import SourceError
from deeprec.home import Home
from deeprec.models.bundles import Bundle, open_bundle
from deeprec.models.interface import MovieSide
from deeprec.models.prediction import Predictor
from deeprec.models.registry import choose_bundle
from deeprec.ratings import UNDATED, Ids, RatingMatrix, RatingScale
from deeprec.readers import read_files
from deeprec.readers.batches import RATING_SCHEMA, REJECTED_SCHEMA
from deeprec.readers.detection import find_files
from deeprec.readers.layouts import ParquetLayout, RatingsLayout, SourceFile
from deeprec.scoring.fitness import check_fits
from deeprec.vectors.materialize import current_digest, movie_ids, rating_matrix, read_users
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import read_warehouse

_NUM_EXAMPLES = 3


@dataclass(frozen=True)
class People:
    """What some files say of people: their ratings of known movies, and what was left out.

    `num_unknown_U` counts each person's ratings of movies that the bundle does not know.
    """

    ratings: RatingMatrix
    rows_read: int
    rows_rejected: int
    rows_replaced: int
    num_unknown_U: Ids
    unknown_movie_ids: tuple[int, ...]


def read_people(sources: Sequence[str], bundle: Bundle, config: IngestConfig) -> People:
    """The people of some rating files, over the movies that the bundle knows.

    Of two ratings of one person and movie the later date counts, then the later path and line,
    as in the warehouse.

    Raises:
        SourceError: a file cannot be read, holds no rating, states another scale than the
            bundle's, or too many of its rows cannot be used; each is named with its line.
    """
    files = _rating_files(sources, bundle, config)
    batches = list(read_files(files, bundle.manifest.scale, config.chunk_bytes))
    rows = pl.concat([pl.DataFrame(schema=RATING_SCHEMA), *(batch.rows for batch in batches)])
    rejected = pl.concat(
        [pl.DataFrame(schema=REJECTED_SCHEMA), *(batch.rejected for batch in batches)]
    )
    _check_rejected(files, rejected, rows.height + rejected.height, bundle, config)
    if not rows.height:
        raise SourceError(f"{', '.join(sources)}: holds no rating; expected some, one a line")
    latest = rows.sort("rated_at", "file_id", "line_number", nulls_last=False).unique(
        ["user_id", "movie_id"], keep="last"
    )
    is_known = pl.col("movie_id").is_in(bundle.vocabulary.movie_ids_M.tolist())
    unknown = latest.filter(~is_known)
    user_ids_U = latest["user_id"].unique().sort().to_numpy()
    unknown_users = np.searchsorted(user_ids_U, unknown["user_id"].to_numpy())
    return People(
        ratings=_matrix(user_ids_U, latest.filter(is_known), bundle),
        rows_read=rows.height + rejected.height,
        rows_rejected=rejected.height,
        rows_replaced=rows.height - latest.height,
        num_unknown_U=np.bincount(unknown_users, minlength=len(user_ids_U)),
        unknown_movie_ids=tuple(unknown["movie_id"].unique().sort().to_list()),
    )


def open_chosen(home: Home, config: Config) -> Bundle:
    """The bundle that is to be scored with: `score.bundle`, else the champion, else the newest.

    Raises:
        BundleError: there is none, or it is not whole.
        WarehouseError: none is named, and the home has no warehouse.
    """
    if config.score.bundle:
        return open_bundle(config.score.bundle.expanduser().resolve())
    with read_warehouse(home, config.warehouse) as warehouse:
        return choose_bundle(home, warehouse, None)


def newcomers_predictor(home: Home, bundle: Bundle, config: Config) -> Predictor:
    """Predictions of the bundle's movies for people who are not in the warehouse.

    Raises:
        WarehouseError: the model looks at everybody's ratings, and there are none or stale ones.
        BundleError: it does, and they are of other movies or of another scale.
    """
    model = bundle.model(config.score.device)
    movie_ids_M = bundle.vocabulary.movie_ids_M
    side: MovieSide = {}
    if model.looks_at_movies:
        with read_warehouse(home, config.warehouse) as warehouse:
            everyone = read_everyone(warehouse, bundle)
        side = model.movie_side(everyone.restrict_movies(movie_ids_M))
    return Predictor(bundle, model, side, movie_ids_M, counted=False)


def read_everyone(warehouse: Database, bundle: Bundle) -> RatingMatrix:
    """All users' whole vectors over the warehouse's movies, which must be the bundle's.

    Raises:
        WarehouseError: the vectors are missing or stale.
        BundleError: the bundle is of other movies or of another scale.
    """
    check_fits(bundle, warehouse, current_digest(warehouse))
    num_users, *_ = warehouse.row("vectors/counts")
    return rating_matrix(read_users(warehouse, 0, num_users, with_days=True), movie_ids(warehouse))


def _rating_files(
    sources: Sequence[str], bundle: Bundle, config: IngestConfig
) -> dict[int, SourceFile]:
    """The files of ratings in the order of their paths, by a number for each."""
    found = [file for source in sources for file in find_files(source, config)]
    ratings: dict[Path, SourceFile] = {}
    for file in found:
        if isinstance(file.layout, RatingsLayout | ParquetLayout):
            _check_stated(file.path, file.layout.scale, bundle)
            ratings[file.path] = file
    if not ratings:
        raise SourceError(f"{', '.join(sources)}: no file of ratings among them")
    return dict(enumerate(ratings[path] for path in sorted(ratings)))


def _check_stated(path: Path, stated: RatingScale | None, bundle: Bundle) -> None:
    """Refuse a file that states another scale than the bundle's."""
    expected = bundle.manifest.scale
    if stated and (stated.minimum, stated.maximum) != (expected.minimum, expected.maximum):
        raise SourceError(
            f"{path}: its ratings stand on the scale {stated}, the model's on {expected}; "
            "rate on the model's scale, or score with a bundle trained on this one"
        )


def _check_rejected(
    files: dict[int, SourceFile],
    rejected: pl.DataFrame,
    num_read: int,
    bundle: Bundle,
    config: IngestConfig,
) -> None:
    """Refuse files of which more rows cannot be used than ingestion would pass over."""
    if rejected.height <= config.max_rejected_fraction * num_read:
        return
    shown = "\n".join(
        f"  {files[file_id].path}:{line}: {reason}: {text}"
        for file_id, line, text, reason in rejected.head(_NUM_EXAMPLES).iter_rows()
    )
    raise SourceError(
        f"{rejected.height:,} of {num_read:,} rows of ratings cannot be used (the scale is "
        f"{bundle.manifest.scale}), more than ingest.max_rejected_fraction = "
        f"{config.max_rejected_fraction:g} allows; nothing was predicted. Mend the files, or "
        f"allow more:\n{shown}"
    )


def _matrix(user_ids_U: Ids, known: pl.DataFrame, bundle: Bundle) -> RatingMatrix:
    """Everybody who is named, also those of whom no movie is known."""
    movie_ids_M = bundle.vocabulary.movie_ids_M
    rows_R = np.searchsorted(user_ids_U, known["user_id"].to_numpy())
    columns_R = np.searchsorted(movie_ids_M, known["movie_id"].to_numpy())
    order_R = np.lexsort((columns_R, rows_R))
    counts_U = np.bincount(rows_R, minlength=len(user_ids_U))
    values_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            known["rating"].to_numpy()[order_R],
            columns_R[order_R].astype(np.int32),
            np.concatenate([[0], np.cumsum(counts_U)]),
        ),
        shape=(len(user_ids_U), len(movie_ids_M)),
    )
    days = known["rated_at"].cast(pl.Date).cast(pl.Int32).fill_null(UNDATED)
    return RatingMatrix(user_ids_U, movie_ids_M, values_UM, days.to_numpy()[order_R])
