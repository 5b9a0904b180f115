"""What a night costs in bytes, operations and money, and what breaks first, on paper.

    python -m benchmarks.scale_costs

Nothing is run: measured unit costs (`unit_costs.py`) are multiplied out, each as if it grew in
proportion, and priced with what one might be asked for. `docs/scale.md` quotes what is printed.
"""

from collections.abc import Iterator
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict

from benchmarks import unit_costs
from benchmarks.unit_costs import NUM_CORES, NUM_MOVIES, NUM_RATINGS, NUM_USERS, WIDTH

_GROWTHS = (1, 10, 1000)
_MANY_MOVIES = (17_770, 10**6, 10**7, 10**8)
_RECOMMENDATIONS = 10
_BYTES_A_RECOMMENDATION = 12  # user, movie and rating in four bytes each, nothing packed
_COPIES = 3  # the published file and two before it: score.keep_past
_PART_BYTES = 2**23  # what one request moves
_SCORE_BATCH, _TRAIN_BATCH = 256, 1024
_FLOAT_BYTES = 4
_MOST_IN_A_GRAPH = 2**31  # bytes of a protobuf message, in which an ONNX file has its weights
_NIGHTS_A_MONTH = 30


class Prices(BaseModel):
    """Assumed, in dollars; nobody's offer."""

    model_config = ConfigDict(frozen=True)

    core_hour: float = 0.05
    gpu_hour: float = 3.00
    gb_month: float = 0.02
    million_requests: float = 5.00


class Stage(BaseModel):
    """What one stage takes of a night; bytes are those of what it leaves."""

    model_config = ConfigDict(frozen=True)

    name: str
    core_s: float
    num_bytes: float
    operations: float
    copies: int = 1

    def dollars(self, prices: Prices) -> float:
        """Computing, a night's share of a month's storage, and a request a part written."""
        storage = self.copies * self.num_bytes / 1e9 * prices.gb_month / _NIGHTS_A_MONTH
        requests = self.num_bytes / _PART_BYTES * prices.million_requests / 1e6
        return self.core_s / 3600 * prices.core_hour + storage + requests


def stages(num_users: float, num_epochs: int) -> list[Stage]:
    """All of a night of so many users with Netflix's movies and ratings a user.

    Operations are multiplications and additions of the width's two layers: forwards and backwards
    at rated cells in training, of every movie in scoring.
    """
    num_ratings = num_users * NUM_RATINGS / NUM_USERS
    num_predictions = num_users * NUM_MOVIES
    ingested = unit_costs.INGEST_BYTES / NUM_RATINGS
    materialized = unit_costs.MATERIALIZE_BYTES / NUM_RATINGS - ingested
    scored = 2.0 * WIDTH * (num_ratings + num_predictions)
    listed = num_users * _RECOMMENDATIONS * _BYTES_A_RECOMMENDATION
    return [
        Stage(
            name="ingest",
            core_s=num_ratings * unit_costs.INGEST_CPU_S / NUM_RATINGS,
            num_bytes=num_ratings * ingested,
            operations=0,
        ),
        Stage(
            name="materialize",
            core_s=num_ratings * unit_costs.MATERIALIZE_CPU_S / NUM_RATINGS,
            num_bytes=num_ratings * materialized,
            operations=0,
        ),
        Stage(
            name=f"train, {num_epochs} epochs",
            core_s=num_users * _training_core_s(num_epochs),
            num_bytes=2.0 * WIDTH * NUM_MOVIES * _FLOAT_BYTES,
            operations=num_epochs * 3 * 2 * 2.0 * WIDTH * num_ratings,
        ),
        Stage(
            name="score, dense",
            core_s=num_predictions * NUM_CORES / unit_costs.DENSE_A_SECOND,
            num_bytes=num_predictions * unit_costs.DENSE_BYTES_A_PREDICTION,
            operations=scored,
            copies=_COPIES,
        ),
        Stage(
            name="score, factored",
            core_s=num_predictions * unit_costs.FACTORED_CPU_S_A_PREDICTION,
            num_bytes=num_users * unit_costs.FACTORED_BYTES_A_USER,
            operations=scored,
            copies=_COPIES,
        ),
        Stage(
            name="top-N alone",
            core_s=num_users * NUM_CORES / unit_costs.TOP_N_USERS_A_SECOND,
            num_bytes=listed,
            operations=scored,
            copies=_COPIES,
        ),
    ]


def _training_core_s(num_epochs: int) -> float:
    """Of a user: once with all that surrounds the epochs, and each further epoch's steps."""
    steps = NUM_CORES / unit_costs.TRAINED_USERS_A_SECOND
    return unit_costs.TRAIN_CPU_S_A_USER + (num_epochs - 1) * steps


def night_table(
    num_users: float, num_epochs: int, window_hours: float, prices: Prices
) -> Iterator[str]:
    """A row a stage: what it takes, and how many cores end it within the night by itself."""
    yield f"{num_users:,.0f} users, {num_users * NUM_RATINGS / NUM_USERS:,.0f} ratings"
    yield ""
    yield "| stage | core hours | GB left | operations | dollars | cores for the night |"
    yield "|---|---:|---:|---:|---:|---:|"
    for stage in stages(num_users, num_epochs):
        hours = stage.core_s / 3600
        yield (
            f"| {stage.name} | {hours:,.2f} | {stage.num_bytes / 1e9:,.2f} "
            f"| {stage.operations:.1e} | {stage.dollars(prices):,.3f} "
            f"| {hours / window_hours:,.2f} |"
        )


def million_table(num_epochs: int, prices: Prices) -> Iterator[str]:
    """Dollars of a million users, of nights that differ in how predictions are kept."""
    *shared, dense, factored, listed = stages(1e6, num_epochs)
    yield "| a million users, predictions | core hours | GB kept | dollars a night |"
    yield "|---|---:|---:|---:|"
    for scored in (dense, factored, listed):
        night = [*shared, scored]
        hours = sum(stage.core_s for stage in night) / 3600
        kept = sum(stage.copies * stage.num_bytes for stage in night) / 1e9
        dollars = sum(stage.dollars(prices) for stage in night)
        yield f"| {scored.name} | {hours:,.2f} | {kept:,.1f} | {dollars:,.3f} |"


def turning_points(window_hours: float, prices: Prices) -> Iterator[str]:
    """Where one way stops making sense and another takes over."""
    dense_bytes = unit_costs.DENSE_BYTES_A_PREDICTION
    window_s = 3600 * window_hours
    factored_a_second = unit_costs.NUM_PREDICTIONS / unit_costs.FACTORED_S
    yield "| turning point | figure |"
    yield "|---|---:|"
    yield f"| bytes of a user, dense | {dense_bytes * NUM_MOVIES:,.0f} |"
    yield f"| bytes of a user, factored | {unit_costs.FACTORED_BYTES_A_USER:,.0f} |"
    yield f"| bytes of a user, top-N | {_RECOMMENDATIONS * _BYTES_A_RECOMMENDATION:,} |"
    movies = unit_costs.FACTORED_BYTES_A_USER / dense_bytes
    yield f"| movies from which factored is smaller than dense | {movies:,.0f} |"
    cores = NUM_CORES / unit_costs.DENSE_A_SECOND / unit_costs.FACTORED_CPU_S_A_PREDICTION
    yield f"| computing, dense over factored | {cores:.1f} |"
    for name, users_a_second in (
        ("dense", unit_costs.DENSE_A_SECOND / NUM_MOVIES),
        ("factored", factored_a_second / NUM_MOVIES),
        ("top-N alone", unit_costs.TOP_N_USERS_A_SECOND),
    ):
        millions = users_a_second * window_s / 1e6
        yield f"| million users in a night on two cores, {name} | {millions:,.1f} |"
    ratings = NUM_RATINGS / unit_costs.INGEST_S * window_s
    yield f"| billion ratings taken in in a night by one process | {ratings / 1e9:,.1f} |"
    gpu = prices.gpu_hour / prices.core_hour
    yield f"| core hours that a GPU hour must replace to pay | {gpu:,.0f} |"


def movie_table() -> Iterator[str]:
    """A row a number of movies: GB of what grows with it."""
    yield "| movies | weights | gradients | Adam's moments | training, all | batch scored |"
    yield "|---:|---:|---:|---:|---:|---:|"
    for num_movies in _MANY_MOVIES:
        weights = 2 * WIDTH * num_movies * _FLOAT_BYTES / 1e9
        yield (
            f"| {num_movies:,} | {weights:,.3f} | {weights:,.3f} | {2 * weights:,.3f} "
            f"| {4 * weights:,.3f} | {_batch_bytes(num_movies) / 1e9:,.3f} |"
        )


def _batch_bytes(num_movies: float) -> float:
    """Of a dense input and two dense outputs, clipped and not."""
    return 3 * _SCORE_BATCH * num_movies * _FLOAT_BYTES


def breaking_points(device_gb: float) -> Iterator[str]:
    """How many movies are the most, in the order in which they break."""
    weight_bytes = 2 * WIDTH * _FLOAT_BYTES
    device_bytes = device_gb * 1e9
    points = {
        "an ONNX file of more than 2 GiB": _MOST_IN_A_GRAPH / weight_bytes,
        "a shard of one user, dense": 2**23,
        f"training on {device_gb:g} GB, Adam": device_bytes / (4 * weight_bytes),
        f"a batch's input and outputs on {device_gb:g} GB": device_bytes / _batch_bytes(1),
        f"the weights alone on {device_gb:g} GB": device_bytes / weight_bytes,
    }
    yield "| what breaks | movies |"
    yield "|---|---:|"
    for name, num_movies in sorted(points.items(), key=lambda point: point[1]):
        yield f"| {name} | {num_movies:,.0f} |"
    exchanged = 2 * _TRAIN_BATCH * WIDTH * _FLOAT_BYTES
    yield f"\na step of row-sharded layers exchanges {exchanged / 1e6:.2f} MB, whatever the movies"


def main(
    *,
    epochs: Annotated[int, typer.Option(help="Of a training.")] = 50,
    window: Annotated[float, typer.Option(help="Hours of a night.")] = 8.0,
    device: Annotated[float, typer.Option(help="GB of a device's memory.")] = 80.0,
    core_hour: Annotated[float, typer.Option(help="Dollars.")] = Prices().core_hour,
    gpu_hour: Annotated[float, typer.Option(help="Dollars.")] = Prices().gpu_hour,
    gb_month: Annotated[float, typer.Option(help="Dollars.")] = Prices().gb_month,
    million_requests: Annotated[float, typer.Option(help="Dollars.")] = Prices().million_requests,
) -> None:
    """Print all tables."""
    prices = Prices(
        core_hour=core_hour,
        gpu_hour=gpu_hour,
        gb_month=gb_month,
        million_requests=million_requests,
    )
    tables = [night_table(NUM_USERS * growth, epochs, window, prices) for growth in _GROWTHS]
    tables += [
        million_table(epochs, prices),
        turning_points(window, prices),
        movie_table(),
        breaking_points(device),
    ]
    typer.echo("\n\n".join("\n".join(table) for table in tables))


if __name__ == "__main__":
    typer.run(main)
