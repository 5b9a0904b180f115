"""Training on rated cells beside the dense masked step of published code, in users per second.

    python benchmarks/training.py --batch-sizes 1024,128,32

The dense step is plain torch: a `Sequential` of the same layers, the same loss and optimiser (fused
SGD with momentum). The last column is the same step of our own network, whose dense layers oneDNN
multiplies. Made-up users have 200 ratings of 17,770 movies, drawn by Netflix-like popularity;
building the batch is part of each, and each keeps the memory that it frees. Timed is a second pass
over the users: the first meets fresh pages and has no momentum yet. They are run in turn and
compared turn by turn: the ratio is the median over turns.

Shape legend: U users, B of them in a batch, M movies, R ratings.
"""

import time
from collections.abc import Iterator
from itertools import chain, pairwise
from statistics import median
from typing import Annotated

import numpy as np
import torch
import typer
from pydantic import BaseModel, ConfigDict
from scipy import sparse
from torch import nn

from benchmarks.machine import this_machine
from deeprec.config.training import TrainConfig
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.batches import DenseBatches
from deeprec.networks.predictor import RatingPredictor
from deeprec.ratings import RatingScale, index_type
from deeprec.samples.synthetic import draw_movies
from deeprec.training.allocation import kept_memory
from deeprec.training.objectives import masked_mse
from deeprec.training.trainer import fit

_NUM_MOVIES = 17_770
_RATINGS_A_USER = 200
_NETWORKS = ((128, 256, 256), (512, 512, 1024))
_SCALE = RatingScale(1, 5, 1)
_NUM_PASSES = 2  # of which the last is timed
_CPU = torch.device("cpu")
_NUM_STEPS = 32  # of an epoch at least: its end, which weighs little on real ones, is timed too


class StepFigures(BaseModel):
    """One network and batch size: users per second of each way, and the ratio of the first two."""

    model_config = ConfigDict(frozen=True)

    hidden_layers: tuple[int, ...]
    batch_size: int
    rated_cells: float
    dense: float
    ratio: float
    our_dense: float

    def __str__(self) -> str:
        name = "-".join(map(str, self.hidden_layers))
        return (
            f"| {name} | {self.batch_size:,} | {self.rated_cells:,.0f} | {self.dense:,.0f} "
            f"| {self.ratio:.1f} | {self.our_dense:,.0f} |"
        )


def compare_steps(
    hidden_layers: tuple[int, ...], batch_size: int, num_turns: int = 3, seed: int = 0
) -> StepFigures:
    """Users per second with a step of either kind.

    Args:
        hidden_layers: the encoder's widths; the decoder mirrors them.
        batch_size: users a step.
        num_turns: of each way, after a first that does not count.
        seed: of users and weights.
    """
    ratings_UM = draw_users(max(_NUM_STEPS * batch_size, 4096), seed)
    some_UM = ratings_UM[: max(2 * batch_size, 512)]
    settings = TrainConfig(num_epochs=_NUM_PASSES, batch_size=batch_size, device="cpu")
    turns = []
    for _ in range(1 + num_turns):
        network = RatingPredictor(Autoencoder(_NUM_MOVIES, hidden_layers, seed=seed))
        result = fit(network, ratings_UM, None, settings, _SCALE)
        by_cells = ratings_UM.shape[0] / result.epochs[-1].seconds
        ours = RatingPredictor(Autoencoder(_NUM_MOVIES, hidden_layers, seed=seed))
        dense, our_dense = (
            some_UM.shape[0] / dense_pass(dense_way, some_UM, settings, _CPU)
            for dense_way in (plain_network(_NUM_MOVIES, hidden_layers), ours)
        )
        turns.append((by_cells, dense, our_dense))
    by_cells, dense, our_dense = (median(way) for way in zip(*turns[1:], strict=True))
    ratio = median(one / other for one, other, _ in turns[1:])
    return StepFigures(
        hidden_layers=hidden_layers,
        batch_size=batch_size,
        rated_cells=by_cells,
        dense=dense,
        ratio=ratio,
        our_dense=our_dense,
    )


def plain_network(num_columns: int, hidden_layers: tuple[int, ...]) -> nn.Sequential:
    """The layers of an `Autoencoder` as published code has them."""
    encoder = [num_columns, *hidden_layers]
    widths = [*encoder, *encoder[-2::-1]]
    layers = ((nn.Linear(inputs, outputs), nn.SELU()) for inputs, outputs in pairwise(widths))
    return nn.Sequential(*chain.from_iterable(layers))


def dense_pass(
    network: nn.Module,
    ratings_UM: sparse.csr_array[np.float32],
    settings: TrainConfig,
    device: torch.device,
) -> float:
    """Seconds of a pass that fills in every cell and masks the loss, and of re-fed steps."""
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.learning_rate, momentum=settings.momentum, fused=True
    )
    network.train()
    batches = DenseBatches(settings.batch_size, ratings_UM.shape[1], device)
    started = 0.0
    with kept_memory():
        for _ in range(_NUM_PASSES):
            started = time.perf_counter()
            for batch in batches.of(ratings_UM):
                fed_BM, rated_BM = batch.ratings_BM, batch.rated_BM
                for _ in range(1 + settings.refeed_steps):
                    optimizer.zero_grad(set_to_none=True)
                    predicted_BM = network(fed_BM)
                    loss = masked_mse(predicted_BM, fed_BM, rated_BM)
                    torch.autograd.backward(loss)
                    optimizer.step()
                    fed_BM, rated_BM = predicted_BM.detach(), torch.ones_like(rated_BM)
            if device.type == "cuda":
                torch.cuda.synchronize()
        return time.perf_counter() - started


def draw_users(num_users: int, seed: int) -> sparse.csr_array[np.float32]:
    """U x M: each user with so many movies, popular ones more often; indexes as of vectors."""
    rng = np.random.default_rng(seed)
    num_ratings = _RATINGS_A_USER * num_users
    weight_M = draw_movies(rng, _NUM_MOVIES, 10 * num_ratings, num_ratings).num_ratings_M
    log_weight_M = np.log(weight_M).astype(np.float32)
    columns = [
        np.sort(
            np.argpartition(-(log_weight_M + rng.gumbel(size=_NUM_MOVIES)), _RATINGS_A_USER)[
                :_RATINGS_A_USER
            ]
        )
        for _ in range(num_users)
    ]
    stars_R = rng.integers(1, 6, num_ratings).astype(np.float32)
    index = index_type(num_ratings)
    ratings_UM: sparse.csr_array[np.float32] = sparse.csr_array(
        (
            stars_R,
            np.concatenate(columns).astype(index),
            np.arange(0, num_ratings + 1, _RATINGS_A_USER).astype(index),
        ),
        shape=(num_users, _NUM_MOVIES),
    )
    return ratings_UM


def all_figures(batch_sizes: list[int]) -> Iterator[StepFigures]:
    """Both networks at each batch size."""
    for hidden_layers in _NETWORKS:
        for batch_size in batch_sizes:
            yield compare_steps(hidden_layers, batch_size)


def main(
    batch_sizes: Annotated[str, typer.Option(help="Users a step, as 1024,128,32.")] = "1024,128,32",
) -> None:
    """Print a table of users per second."""
    typer.echo(f"{this_machine()}\n")
    typer.echo("| network | batch | rated cells, users/s | dense, users/s | ratio | ours, dense |")
    typer.echo("|---|---:|---:|---:|---:|---:|")
    for figures in all_figures([int(size) for size in batch_sizes.split(",")]):
        typer.echo(str(figures))


if __name__ == "__main__":
    typer.run(main)
