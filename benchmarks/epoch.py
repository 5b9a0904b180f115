"""An epoch of training on this machine's device, a plain dense loop beside it, and what bounds it.

    python -m benchmarks.epoch HOME --device cuda

HOME has a materialized split, as `benchmarks.night` leaves one. The same users are fitted twice by
`deeprec` and, some of them, by a loop over dense batches as published code has it, with its second,
re-fed step where ours has one; each second pass is timed, the epoch's end with it.

Beside it stands about what this device takes to move the bytes of an epoch, and to do its
operations, at the rates of a large copy and of a large product that are measured first. The
arithmetic (`Work`) counts four bytes of each number that a step reads or writes, once an operation,
as if no cache held it.

Shape legend: U users, M movies.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from pydantic import BaseModel, ConfigDict

from benchmarks.machine import this_machine
from benchmarks.night import NUM_MOVIES
from benchmarks.training import dense_pass, plain_network
from deeprec.config.loading import load_config
from deeprec.home import Home
from deeprec.networks.autoencoder import Autoencoder
from deeprec.networks.dense_layers import linear
from deeprec.networks.predictor import RatingPredictor
from deeprec.splits import Part
from deeprec.training.device import resolve_device
from deeprec.training.trainer import fit
from deeprec.vectors.materialize import read_scale, read_split
from deeprec.warehouse.opening import read_warehouse

_NETWORKS = (((128, 256, 256), 0), ((512, 512, 1024), 1))  # widths, re-fed steps
_NETFLIX_USERS, _NETFLIX_RATINGS = 480_189, 98_000_000
_BATCH_SIZE = 1024
_NUM_PASSES = 2  # of which the last is timed
_FLOAT = 4  # bytes
_SPARSE_PASSES = 5  # over ratings x width: either layer forward, and three products backward
_REFED_PRODUCTS = 6  # of batch x columns x width: one to feed, two forward, three backward
_REFED_PASSES = 24  # over batch x columns: those products, activations, losses and their gradients
_WEIGHT_PASSES = 6  # the optimiser reads weight, gradient and momentum; three are written


@dataclass(frozen=True)
class Work:
    """Bytes moved and operations done in an epoch."""

    num_bytes: float
    num_operations: float

    @classmethod
    def of(
        cls, num_users: int, num_columns: int, num_ratings: int, hidden: Sequence[int], refed: int
    ) -> "Work":
        """Of an untied network whose decoder mirrors its encoder, re-fed once or not at all."""
        assert refed <= 1, refed
        num_steps = -(-num_users // _BATCH_SIZE)
        outer, inner = num_columns * hidden[0], sum(one * other for one, other in pairwise(hidden))
        num_weights = 2 * (outer + inner)
        moved = _SPARSE_PASSES * num_ratings * hidden[0]
        moved += _WEIGHT_PASSES * num_weights * num_steps * (1 + refed)
        moved += _REFED_PASSES * num_users * num_columns * refed
        multiplied = _SPARSE_PASSES * num_ratings * hidden[0]
        multiplied += 3 * 2 * inner * num_users * (1 + refed)  # forward, and two products backward
        multiplied += _REFED_PRODUCTS * outer * num_users * refed
        return cls(_FLOAT * moved, 2.0 * multiplied)


class EpochFigures(BaseModel):
    """One network: an epoch in seconds, users per second of either way, the bounds in seconds."""

    model_config = ConfigDict(frozen=True)

    hidden_layers: tuple[int, ...]
    refeed_steps: int
    precision: str
    seconds: float
    users_a_second: float
    dense_users_a_second: float
    memory_seconds: float
    product_seconds: float

    def __str__(self) -> str:
        ratio = self.users_a_second / self.dense_users_a_second
        return (
            f"| {_name(self.hidden_layers, self.refeed_steps)} | {self.precision} "
            f"| {self.seconds:.2f} | {self.users_a_second:,.0f} | {self.dense_users_a_second:,.0f} "
            f"| {ratio:.1f} | {self.memory_seconds:.2f} | {self.product_seconds:.2f} |"
        )


def run_epochs(
    home: Path, device: torch.device, num_dense: int, overrides: Sequence[str] = ()
) -> Iterator[EpochFigures]:
    """Each network in each precision.

    Args:
        home: of a materialized split.
        device: to train on.
        num_dense: users of the dense loop.
        overrides: of the configuration, for the split.
    """
    config = load_config(None, overrides)
    with read_warehouse(Home(home), config.warehouse) as warehouse:
        train = read_split(warehouse, config.split, train_days=False).part(Part.TRAIN)
        scale = read_scale(warehouse, train)
    ratings_UM = train.values_UM[np.flatnonzero(np.diff(train.values_UM.indptr))]
    dense_UM = ratings_UM[:num_dense]
    copy_rate = _copy_rate(device)
    for hidden, refed in _NETWORKS:
        for precision in ("float32", "bfloat16"):
            update = {"num_epochs": _NUM_PASSES, "batch_size": _BATCH_SIZE, "device": device.type}
            settings = config.train.model_copy(
                update={**update, "refeed_steps": refed, "precision": precision}
            )
            network = RatingPredictor(Autoencoder(ratings_UM.shape[1], hidden))
            seconds = fit(network, ratings_UM, None, settings, scale).epochs[-1].seconds
            plain = plain_network(ratings_UM.shape[1], hidden).to(device)
            dense_seconds = dense_pass(plain, dense_UM, settings, device)
            work = Work.of(*ratings_UM.shape, ratings_UM.nnz, hidden, refed)
            yield EpochFigures(
                hidden_layers=hidden,
                refeed_steps=refed,
                precision=precision,
                seconds=seconds,
                users_a_second=ratings_UM.shape[0] / seconds,
                dense_users_a_second=dense_UM.shape[0] / dense_seconds,
                memory_seconds=work.num_bytes / copy_rate,
                product_seconds=work.num_operations / _product_rate(device, precision),
            )


def _name(hidden: Sequence[int], refed: int) -> str:
    return "-".join(map(str, hidden)) + (", re-fed" if refed else "")


def _copy_rate(device: torch.device) -> float:
    """Bytes a second, read and written, of a copy that no cache holds."""
    source = torch.ones(2**26, device=device)
    target = torch.empty_like(source)
    return 2 * source.nbytes / _least_seconds(lambda: target.copy_(source), device)


def _product_rate(device: torch.device, precision: str) -> float:
    """Operations a second of a product of square matrices, as a layer does it."""
    size = 8192 if device.type == "cuda" else 2048
    factor = torch.ones(size, size, device=device, dtype=getattr(torch, precision))
    in_bfloat16 = precision == "bfloat16"
    seconds = _least_seconds(lambda: linear(factor, factor, in_bfloat16=in_bfloat16), device)
    return 2 * size**3 / seconds


def _least_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of five times, after one that does not count."""
    times = []
    for _ in range(6):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return min(times[1:])


def main(
    home: Annotated[Path, typer.Argument(help="A home with a materialized split.")],
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    dense_users: Annotated[int, typer.Option(help="Users of the dense loop.")] = 2048,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="As of deeprec; repeatable.")
    ] = None,
) -> None:
    """Print the table."""
    found = resolve_device(load_config(None, [f"train.device={device}"]).train.device)
    name = torch.cuda.get_device_name() if found.type == "cuda" else "no GPU"
    typer.echo(f"{this_machine()}, {name}\n")
    typer.echo(
        "| network | precision | seconds | users/s | plain dense, users/s | ratio "
        "| bytes alone, s | products alone, s |"
    )
    typer.echo("|---|---|---:|---:|---:|---:|---:|---:|")
    for figures in run_epochs(home, found, dense_users, overrides or []):
        typer.echo(str(figures))
    typer.echo(f"\nOf {_NETFLIX_USERS:,} users with {_NETFLIX_RATINGS:,} training ratings:")
    for hidden, refed in _NETWORKS:
        work = Work.of(_NETFLIX_USERS, NUM_MOVIES, _NETFLIX_RATINGS, hidden, refed)
        typer.echo(
            f"{_name(hidden, refed)}: {work.num_bytes / 1e9:,.0f} GB, "
            f"{work.num_operations / 1e12:.1f} million million operations"
        )


if __name__ == "__main__":
    typer.run(main)
