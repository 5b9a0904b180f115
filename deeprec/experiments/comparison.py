"""Systems side by side: mean and spread over seeds, what was published, a verdict in words.

Expects the cells of one protocol on the same data; measures nothing.
"""

from collections.abc import Iterable, Sequence
from math import inf
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

from deeprec.config.evaluation import PublishedConfig
from deeprec.config.run import Config
from deeprec.experiments.cells import Cell


class Spread(BaseModel):
    """A figure over seeds; `deviation` is the sample's, None where there is one seed."""

    model_config = ConfigDict(frozen=True)

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Spread | None":
        """Of the values that there are; None when there is none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(mean=fmean(known), deviation=stdev(known) if len(known) > 1 else None)

    def __str__(self) -> str:
        spread = "" if self.deviation is None else f" ± {self.deviation:.4f}"
        return f"{self.mean:.4f}{spread}"


class Published(BaseModel):
    """A published figure beside a measurement, and whether the two may be compared."""

    model_config = ConfigDict(frozen=True)

    figure: PublishedConfig
    same_protocol: bool

    def __str__(self) -> str:
        other = "" if self.same_protocol else "other protocol"
        words = [word for word in (self.figure.part, self.figure.note, other) if word]
        return f"{self.figure.rmse:.3f} ({', '.join(words)})"


class SystemFigures(BaseModel):
    """One system under one protocol, over its seeds; errors in rating units.

    `oracle` is the best test RMSE of any epoch, which several papers print; it chose nothing here.
    """

    model_config = ConfigDict(frozen=True)

    system: str
    seeds: tuple[int, ...]
    best_epochs: tuple[int, ...]
    num_test_ratings: tuple[int, ...]
    dev: Spread | None
    dev_bias: Spread | None
    test: Spread | None
    test_mae: Spread | None
    test_bias: Spread | None
    oracle: Spread | None
    seconds: float | None
    published: tuple[Published, ...]
    failures: tuple[str, ...]
    verdict: str

    @property
    def epochs(self) -> str:
        """The epoch kept for each seed; none of a model that is solved or has several members."""
        return ", ".join(map(str, self.best_epochs))

    @property
    def beats_bias(self) -> bool:
        """Whether the mean over seeds is worth more than its floor."""
        return bool(self.test and self.test_bias and self.test.mean < self.test_bias.mean)

    def published_on(self, part: str) -> tuple[Published, ...]:
        """What was published of one part, comparable figures first."""
        of_part = [published for published in self.published if published.figure.part == part]
        return tuple(sorted(of_part, key=lambda published: not published.same_protocol))


def compare(systems: Sequence[Config], cells: Sequence[Cell]) -> tuple[SystemFigures, ...]:
    """Every system in order, those without a cell too."""
    return tuple(
        _of_system(config, [cell for cell in cells if cell.system == config.name])
        for config in systems
    )


def best_on_dev(systems: Sequence[SystemFigures]) -> SystemFigures | None:
    """The system that dev would choose; None where none was measured on dev."""
    measured = [row for row in systems if row.dev]
    return min(measured, key=lambda row: row.dev.mean if row.dev else inf, default=None)


def _of_system(config: Config, cells: Sequence[Cell]) -> SystemFigures:
    done = [cell for cell in cells if cell.status == "done"]
    failed = [cell for cell in cells if cell.status == "failed"]
    return SystemFigures(
        system=config.name,
        seeds=tuple(cell.seed for cell in done),
        best_epochs=tuple(cell.best_epoch for cell in done if cell.best_epoch),
        num_test_ratings=tuple(
            sorted({cell.num_test_ratings for cell in done if cell.num_test_ratings})
        ),
        dev=Spread.of(cell.dev_rmse for cell in done),
        dev_bias=Spread.of(cell.dev_rmse_bias for cell in done),
        test=Spread.of(cell.test_rmse for cell in done),
        test_mae=Spread.of(cell.test_mae for cell in done),
        test_bias=Spread.of(cell.test_rmse_bias for cell in done),
        oracle=Spread.of(cell.oracle_test_rmse for cell in done),
        seconds=fmean(cell.seconds for cell in done) if done else None,
        published=tuple(_beside(figure, cells) for figure in config.published),
        failures=tuple(f"seed {cell.seed}: {cell.message}" for cell in failed),
        verdict=_verdict(done, failed),
    )


def _beside(figure: PublishedConfig, cells: Sequence[Cell]) -> Published:
    """Comparable where data and protocol are those of the publication."""
    same = any((cell.data, cell.protocol) == (figure.data, figure.protocol) for cell in cells)
    return Published(figure=figure, same_protocol=same)


def _verdict(done: Sequence[Cell], failed: Sequence[Cell]) -> str:
    """Whether a system is worth more than the damped biases, in words."""
    if not done:
        return "failed" if failed else "not run"
    pairs = [
        (cell.test_rmse, cell.test_rmse_bias)
        for cell in done
        if cell.test_rmse is not None and cell.test_rmse_bias is not None
    ]
    if not pairs:
        return "no test ratings"
    num_better = sum(model < bias for model, bias in pairs)
    if num_better in (0, len(pairs)):
        return f"{'better' if num_better else 'not better'} than the bias floor"
    return f"better than the bias floor with {num_better} of {len(pairs)} seeds"
