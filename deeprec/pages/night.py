"""A night on one HTML page that opens offline: what it did, what it found, how good it was.

Shows what the warehouse and the published file hold; measures nothing.
"""

from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from pydantic import BaseModel, ConfigDict

from deeprec.config.run import Config
from deeprec.errors import WarehouseError
from deeprec.home import Home
from deeprec.models.registry import (
    Epoch,
    ModelChange,
    RegisteredModel,
    find_champion,
    read_changes,
    read_epochs,
    read_registry,
)
from deeprec.pages.plots import drift_plot, learning_curve, live_plot
from deeprec.progress import Progress, silent
from deeprec.warehouse.checks import CheckResult, read_checks
from deeprec.warehouse.database import Database, open_database
from deeprec.warehouse.drift import Drift, read_drift
from deeprec.warehouse.live import LiveMetric, read_metrics
from deeprec.warehouse.night_ledger import Night, NightStep, read_nights, read_steps
from deeprec.warehouse.opening import read_warehouse

_TEMPLATE = "night.html"
_NUM_NIGHTS = 14
_NUM_CURVES = 4  # of the champion's members


class NightPageReport(BaseModel):
    """Where a night's page was written."""

    model_config = ConfigDict(frozen=True)

    night_id: str
    page: Path


@dataclass(frozen=True)
class Picture:
    """A picture that the page holds within itself."""

    title: str
    png: bytes

    @property
    def address(self) -> str:
        """A data URL."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@dataclass(frozen=True)
class NightView:
    """Everything that the page shows."""

    night: Night
    steps: tuple[NightStep, ...]
    checks: tuple[CheckResult, ...]
    before: tuple[Night, ...]
    live: tuple[LiveMetric, ...]
    drift: tuple[Drift, ...]
    models: tuple[RegisteredModel, ...]
    changes: tuple[ModelChange, ...]
    pictures: tuple[Picture, ...]
    published: dict[str, Any] | None
    recommended: list[dict[str, Any]]

    @property
    def champion(self) -> RegisteredModel | None:
        """The model that scores."""
        return next((model for model in self.models if model.status == "champion"), None)

    @property
    def live_today(self) -> list[LiveMetric]:
        """What was measured on the night's day, by segment."""
        return [metric for metric in self.live if metric.measured_on == self.night.night_of]


def report(
    home: Home, config: Config, progress: Progress = silent, *, night: str | None = None
) -> NightPageReport:
    """Write the page of a night, the latest unless told which, into the home's `reports`.

    Raises:
        WarehouseError: there was no such night.
    """
    del progress
    night_id = night or _latest(home, config)
    return NightPageReport(night_id=night_id, page=write_night_page(home, config, night_id))


def _latest(home: Home, config: Config) -> str:
    with read_warehouse(home, config.warehouse) as warehouse:
        nights = read_nights(warehouse, 1)
    if not nights:
        raise WarehouseError(f"{home.path}: there was no night yet; run `deeprec nightly SOURCE`")
    return nights[0].night_id


def write_night_page(home: Home, config: Config, night_id: str) -> Path:
    """Write a night's page and give its path; a reader never sees half of it."""
    text = render(read_view(home, config, night_id))
    page = home.reports / f"{night_id}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    partial = page.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(page)
    return page


def read_view(home: Home, config: Config, night_id: str) -> NightView:
    """What there is to show of a night.

    Raises:
        WarehouseError: there was no such night.
    """
    with read_warehouse(home, config.warehouse) as warehouse:
        nights = read_nights(warehouse, _NUM_NIGHTS * 100)
        night = next((each for each in nights if each.night_id == night_id), None)
        if night is None:
            raise WarehouseError(f"{home.path}: there was no night {night_id}")
        live, drift = read_metrics(warehouse), read_drift(warehouse)
        published = _published(warehouse)
        subjects = [night_id, *([published["run_id"]] if published else [])]
        return NightView(
            night=night,
            steps=read_steps(warehouse, night_id),
            checks=tuple(found for name in subjects for found in read_checks(warehouse, name)),
            before=nights[nights.index(night) + 1 :][:_NUM_NIGHTS],
            live=live,
            drift=drift,
            models=read_registry(warehouse),
            changes=read_changes(warehouse),
            pictures=tuple(_pictures(warehouse, live, drift, config)),
            published=published,
            recommended=_recommended(home, config),
        )


def _published(warehouse: Database) -> dict[str, Any] | None:
    """The run that is published."""
    found = warehouse.some("scores/last_publication", 1)
    return found[0] if found else None


def _pictures(
    warehouse: Database, live: tuple[LiveMetric, ...], drift: tuple[Drift, ...], config: Config
) -> Iterator[Picture]:
    if live:
        yield Picture("Live error: published predictions against what came after", live_plot(live))
    if drift:
        checks = config.checks
        yield Picture("Drift between runs", drift_plot(drift, checks.warn_psi, checks.block_psi))
    champion = find_champion(warehouse)
    epochs = read_epochs(warehouse, champion) if champion else ()
    for member in list(dict.fromkeys(epoch.member for epoch in epochs))[:_NUM_CURVES]:
        own = [epoch for epoch in epochs if epoch.member == member]
        curve = learning_curve(own, _kept_epoch(own))
        yield Picture(f"The champion's learning curve: {member}", curve)


def _kept_epoch(epochs: Sequence[Epoch]) -> int:
    """The one that training kept: the best on dev, the last where there are no dev ratings."""
    on_dev = [(epoch.dev_rmse, epoch.epoch) for epoch in epochs if epoch.dev_rmse is not None]
    return min(on_dev)[1] if on_dev else epochs[-1].epoch


def _recommended(home: Home, config: Config) -> list[dict[str, Any]]:
    """What one user is recommended, who has as many ratings as the one in the middle."""
    if not home.predictions.exists():
        return []
    try:
        with open_database(home.predictions, config.warehouse, read_only=True) as published:
            (user_id,) = published.row("scores/typical_user")
            found = published.some("scores/recommended_titles", _NUM_NIGHTS, user_id=user_id)
    except WarehouseError:  # somebody writes to it; the page can do without
        return []
    return [{"user_id": user_id, **row} for row in found]


def render(view: NightView) -> str:
    """The page's text; everything that comes from elsewhere is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(view=view).lstrip()
