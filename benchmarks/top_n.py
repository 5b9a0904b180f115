"""The best unrated movies of many users from given factors, beside implicit's batched recommend.

    python -m benchmarks.top_n --users 50000 --width 128

Factors are drawn at random, ratings as Netflix has them. Both multiply the same factors, leave out
what a user has rated and keep the ten best, in batches of the same size and in turn. Ours is what
scoring does: a batch a core, multiplied by the graph of a bundle. implicit takes a thread a core
and its matrix products in one, as it asks for; it is of the `bench` extra.

Shape legend: U users, M movies, K factors.
"""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
import typer
from pydantic import BaseModel, ConfigDict
from scipy import sparse

from benchmarks.machine import this_machine
from benchmarks.night import NUM_MOVIES
from benchmarks.training import draw_users
from deeprec.config.training import ExportConfig
from deeprec.export.codes import write_products
from deeprec.models.inference import MOVIE_CODES, PRODUCT_GRAPH, PRODUCTS, USER_CODES, open_graph
from deeprec.models.prediction import best_unrated
from deeprec.ratings import Floats, RatingMatrix

_TOP_N = 10
_TURNS = 3
Columns = npt.NDArray[np.int64]
_Way = Callable[[Sequence[slice]], list[Columns]]


class TopFigures(BaseModel):
    """Users per second of either way: the best of its turns, and the median of their ratios."""

    model_config = ConfigDict(frozen=True)

    num_users: int
    width: int
    batch_size: int
    ours: float
    implicit: float
    ratio: float
    agreement: float

    def __str__(self) -> str:
        return (
            f"| {self.num_users:,} | {self.width} | {self.batch_size} | {self.ours:,.0f} "
            f"| {self.implicit:,.0f} | {self.ratio:.2f} | {self.agreement:.4f} |"
        )


def compare_top_n(num_users: int, width: int, batch_size: int) -> TopFigures:
    """Both ways, in turn."""
    rng = np.random.default_rng(0)
    user_UK = rng.normal(size=(num_users, width)).astype(np.float32)
    movie_MK = rng.normal(size=(NUM_MOVIES, width)).astype(np.float32)
    rated_UM = draw_users(num_users, 0)
    batches = [slice(start, start + batch_size) for start in range(0, num_users, batch_size)]
    ways = [_ours(user_UK, movie_MK, rated_UM), _implicit(user_UK, movie_MK, rated_UM)]
    seconds: list[list[float]] = [[], []]
    found: list[list[Columns]] = [[], []]
    for _ in range(_TURNS):
        for place, way in enumerate(ways):
            started = time.perf_counter()
            found[place] = way(batches)
            seconds[place].append(time.perf_counter() - started)
    one, other = (np.concatenate(columns) for columns in found)
    return TopFigures(
        num_users=num_users,
        width=width,
        batch_size=batch_size,
        ours=num_users / min(seconds[0]),
        implicit=num_users / min(seconds[1]),
        ratio=float(np.median(np.divide(seconds[1], seconds[0]))),
        agreement=float((one == other).mean()),
    )


def _ours(user_UK: Floats, movie_MK: Floats, rated_UM: sparse.csr_array[np.float32]) -> _Way:
    everybody = RatingMatrix(np.arange(len(user_UK)), np.arange(NUM_MOVIES), rated_UM)
    with tempfile.TemporaryDirectory() as folder:
        write_products(Path(folder), ExportConfig())
        graph = open_graph(Path(folder) / PRODUCT_GRAPH, "cpu", num_threads=1)

    def best(rows: slice) -> Columns:
        codes = {USER_CODES: user_UK[rows], MOVIE_CODES: movie_MK}
        return best_unrated(graph.run(codes, PRODUCTS), everybody.select_rows(rows), _TOP_N)

    def best_of_all(batches: Sequence[slice]) -> list[Columns]:
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            return list(workers.map(best, batches))

    return best_of_all


def _implicit(user_UK: Floats, movie_MK: Floats, rated_UM: sparse.csr_array[np.float32]) -> _Way:
    from implicit.cpu.als import AlternatingLeastSquares  # noqa: PLC0415 - of the `bench` extra
    from threadpoolctl import threadpool_limits  # noqa: PLC0415 - as implicit asks for

    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(factors=user_UK.shape[1])
    model.user_factors, model.item_factors = user_UK, movie_MK
    everybody = np.arange(len(user_UK), dtype=np.int32)

    def best(rows: slice) -> Columns:
        liked = sparse.csr_matrix(rated_UM[rows])
        with threadpool_limits(1, "blas"):
            columns, _ = model.recommend(everybody[rows], liked, N=_TOP_N)
        return np.asarray(columns, dtype=np.int64)

    return lambda batches: [best(rows) for rows in batches]


def main(
    users: Annotated[int, typer.Option(help="Users to recommend for.")] = 20_000,
    width: Annotated[int, typer.Option(help="Coordinates of a factor.")] = 128,
    batch_size: Annotated[int, typer.Option(help="Users at a time.")] = 256,
) -> None:
    """Print users per second."""
    typer.echo(f"{this_machine()}\n")
    typer.echo("| users | width | batch | ours, users/s | implicit, users/s | ratio | equal |")
    typer.echo("|---:|---:|---:|---:|---:|---:|---:|")
    typer.echo(str(compare_top_n(users, width, batch_size)))


if __name__ == "__main__":
    typer.run(main)
