"""Predictions for people who were not there at training, from a few ratings of each.

Shape legend: B people in a batch, M movies of the bundle's vocabulary, T top.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from deeprec.config.ingestion import IngestConfig
from deeprec.config.run import Config
from deeprec.errors import ConfigError
from deeprec.home import Home
from deeprec.models.prediction import (
    DECIMALS,
    Columns,
    Hundredths,
    Predictor,
    best_unrated,
    in_hundredths,
)
from deeprec.progress import Progress, silent
from deeprec.ratings import RatingMatrix
from deeprec.readers.detection import find_files
from deeprec.scoring.people import newcomers_predictor, open_chosen, read_people
from deeprec.scoring.prediction_files import (
    SCHEMA,
    PredictionWriter,
    check_output,
    new_prediction_file,
)

_NUM_NAMED = 5  # unknown movies


class Recommendation(BaseModel):
    """One of a person's best unrated movies; the prediction is on the rating scale."""

    model_config = ConfigDict(frozen=True)

    user_id: int
    rank: int
    movie_id: int
    title: str | None
    predicted_rating: float


class NewcomersReport(BaseModel):
    """What was predicted for the people of some files, and what of the files was left out.

    People without a rating of a movie that the model knows get its bias predictions.
    """

    model_config = ConfigDict(frozen=True)

    bundle_id: str
    num_users: int
    num_movies: int
    num_ratings: int
    num_users_by_bias: int
    rows_read: int
    rows_rejected: int
    rows_replaced: int
    num_unknown_ratings: int
    num_unknown_movies: int
    unknown_movies: str | None
    output: Path | None
    recommendations: tuple[Recommendation, ...]


def score_newcomers(
    home: Home,
    config: Config,
    progress: Progress = silent,
    *,
    sources: Sequence[str],
    output: Path | None = None,
) -> NewcomersReport:
    """The best `score.top_n` unrated movies of each person in some rating files.

    Everybody in the files is new, whoever has the same id in the warehouse: the graph sees the
    file's ratings alone. The warehouse is read only where the model looks at everybody's ratings.

    Args:
        home: whose champion is used, else its newest bundle, unless `score.bundle` names one.
        config: `ingest`, `score` and `warehouse` are used.
        progress: told of the people predicted for.
        sources: files, folders or globs of ratings.
        output: a file for the predictions of all movies, rated ones too.

    Raises:
        SourceError: a file cannot be read or understood, or too many rows cannot be used.
        BundleError: there is no bundle, it is damaged, or it is not one for the warehouse.
        ConfigError: the output cannot be written, or is one of the files.
        WarehouseError: it is needed, and missing or stale.
    """
    if output:
        check_output(output)
        _refuse_source(output, sources, config.ingest)
    bundle = open_chosen(home, config)
    people = read_people(sources, bundle, config.ingest)
    predictor = newcomers_predictor(home, bundle, config)
    recommendations: list[Recommendation] = []
    with _writer(output) as writer:
        for rows, hundredths_BM, top_BT in _score(predictor, people.ratings, config):
            batch = people.ratings.select_rows(rows)
            recommendations += _recommendations(predictor, batch, hundredths_BM, top_BT)
            if writer:
                writer.write_table(_long(batch, hundredths_BM))
            progress("score", rows.stop, people.ratings.num_users, "people")
    named = ", ".join(map(str, people.unknown_movie_ids[:_NUM_NAMED]))
    num_unknown = len(people.unknown_movie_ids)
    return NewcomersReport(
        bundle_id=bundle.manifest.bundle_id,
        num_users=people.ratings.num_users,
        num_movies=people.ratings.num_movies,
        num_ratings=people.ratings.num_ratings,
        num_users_by_bias=int((np.diff(people.ratings.values_UM.indptr) == 0).sum()),
        rows_read=people.rows_read,
        rows_rejected=people.rows_rejected,
        rows_replaced=people.rows_replaced,
        num_unknown_ratings=int(people.num_unknown_U.sum()),
        num_unknown_movies=num_unknown,
        unknown_movies=named + (", ..." if num_unknown > _NUM_NAMED else "") or None,
        output=output,
        recommendations=tuple(recommendations),
    )


def _refuse_source(output: Path, sources: Sequence[str], config: IngestConfig) -> None:
    """Keep the output from taking the place of a file that is read."""
    files = [file.path for source in sources for file in find_files(source, config)]
    if output.resolve() in {file.resolve() for file in files}:
        raise ConfigError(f"--output {output}: is one of the files to read; name another")


@contextmanager
def _writer(output: Path | None) -> Iterator[PredictionWriter | None]:
    """Where predictions go, if anywhere."""
    if output is None:
        yield None
        return
    with new_prediction_file(output) as writer:
        yield writer


def _score(
    predictor: Predictor, users: RatingMatrix, config: Config
) -> Iterator[tuple[slice, Hundredths, Columns]]:
    """Each batch of people: predictions in hundredths, and columns of the best unrated movies."""
    barred_M, top_n = predictor.barred_N(config.score.min_ratings), config.score.top_n
    for rows, scores in predictor.batches(users, config.score.batch_size):
        hundredths_BM = in_hundredths(scores.predicted_BM, predictor.bundle)
        batch = users.select_rows(rows)
        yield rows, hundredths_BM, best_unrated(scores.unclipped_BM, batch, top_n, barred_M)


def _recommendations(
    predictor: Predictor, users: RatingMatrix, hundredths_BM: Hundredths, top_BT: Columns
) -> list[Recommendation]:
    titles = predictor.bundle.vocabulary.titles
    return [
        Recommendation(
            user_id=int(users.user_ids_U[row]),
            rank=int(place) + 1,
            movie_id=int(users.movie_ids_M[top_BT[row, place]]),
            title=titles[top_BT[row, place]],
            predicted_rating=float(hundredths_BM[row, top_BT[row, place]]) / 10**DECIMALS,
        )
        for row, place in np.argwhere(top_BT >= 0)
    ]


def _long(users: RatingMatrix, hundredths_BM: Hundredths) -> pa.Table:
    """One row a person and movie, movie by movie within a person."""
    columns = [
        np.repeat(users.user_ids_U, users.num_movies),
        np.tile(users.movie_ids_M, users.num_users),
        hundredths_BM.ravel() / 10**DECIMALS,
    ]
    return pa.Table.from_arrays([pa.array(column) for column in columns], schema=SCHEMA)
