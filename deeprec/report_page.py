"""An experiment as one HTML page that opens offline: figures side by side, pictures, provenance.

Shows what the warehouse holds of it; trains and measures nothing.
"""

import shlex
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from pathlib import Path

import jinja2
from pydantic import BaseModel, ConfigDict

from deeprec.bundles import open_bundle
from deeprec.cells import Cell, read_cells
from deeprec.comparison import SystemFigures, compare
from deeprec.config import Config
from deeprec.errors import BundleError, WarehouseError
from deeprec.experiment_plots import dropout_plot, width_plot
from deeprec.experiment_sets import find_set, load_systems
from deeprec.families import describe, dropout_rates, widths
from deeprec.home import Home
from deeprec.registry import Epoch, read_epochs
from deeprec.warehouse import Database, open_warehouse

_TEMPLATE = "experiment.html"


class PageReport(BaseModel):
    """Where a page was written, and how much it shows."""

    model_config = ConfigDict(frozen=True)

    experiment: str
    page: Path
    protocols: tuple[str, ...]
    num_cells: int
    num_failed: int


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it, within itself."""

    title: str
    caption: str
    png: bytes

    @property
    def address(self) -> str:
        """A data URL."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@dataclass(frozen=True)
class Section:
    """All that the page shows of one protocol."""

    protocol: str
    data: str
    cells: Sequence[Cell]
    systems: Sequence[SystemFigures]
    pictures: Sequence[Picture]

    @property
    def on_test(self) -> list[SystemFigures]:
        """Systems published on test, or not at all: the poster's table 1; best first."""
        shown = [row for row in self.systems if row.published_on("test") or not row.published]
        return sorted(shown, key=lambda row: row.test.mean if row.test else inf)

    @property
    def on_dev(self) -> list[SystemFigures]:
        """Systems published on dev: the poster's extensions; best first."""
        shown = [row for row in self.systems if row.published_on("dev")]
        return sorted(shown, key=lambda row: row.dev.mean if row.dev else inf)

    @property
    def best(self) -> SystemFigures | None:
        """The system that dev would choose."""
        measured = [row for row in self.systems if row.dev]
        return min(measured, key=lambda row: row.dev.mean if row.dev else inf, default=None)

    @property
    def below_floor(self) -> list[SystemFigures]:
        """Systems that are not better than the biases with every seed."""
        return [row for row in self.systems if row.test and not row.beats_bias]

    @property
    def not_run(self) -> list[str]:
        """Systems without any cell."""
        return [row.system for row in self.systems if row.verdict == "not run"]

    @property
    def commands(self) -> list[str]:
        """One command for each set of overrides that cells were run with."""
        by_overrides: dict[str, list[Cell]] = defaultdict(list)
        for cell in self.cells:
            by_overrides[cell.overrides].append(cell)
        return [_command(cells) for cells in by_overrides.values()]


@dataclass(frozen=True)
class ExperimentPage:
    """All that is shown of an experiment, on a page or elsewhere."""

    experiment: str
    systems: Sequence[Config]
    sections: Sequence[Section]
    versions: Mapping[str, str]

    @property
    def cells(self) -> list[Cell]:
        """Those of every protocol."""
        return [cell for section in self.sections for cell in section.cells]


def write_report(home: Home, experiment: str, output: Path | None = None) -> PageReport:
    """Write the page of an experiment, `NAME.html` in the home of cells unless told where.

    Args:
        home: the home of cells.
        experiment: name or path of a set.
        output: the file to write; it is replaced.

    Raises:
        ConfigError: no such set.
        WarehouseError: none of its cells has been run here.
    """
    shown = read_page(home, experiment)
    page = output or home.path / f"{shown.experiment}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(render(shown), encoding="utf-8")
    return PageReport(
        experiment=shown.experiment,
        page=page,
        protocols=tuple(section.protocol for section in shown.sections),
        num_cells=len(shown.cells),
        num_failed=sum(cell.status == "failed" for cell in shown.cells),
    )


def read_page(home: Home, experiment: str) -> ExperimentPage:
    """What the warehouse holds of an experiment, drawn; errors as of `write_report`."""
    systems = load_systems(experiment)
    name = find_set(experiment).name
    with open_warehouse(home) as warehouse:
        cells = read_cells(warehouse, name)
        if not cells:
            raise WarehouseError(
                f"{home.path}: no cell of {name} has been run here; `deeprec experiment run {name} "
                "--data SOURCE --protocol NAME` runs them"
            )
        sections = [
            _section(warehouse, systems, of_protocol)
            for of_protocol in _by_protocol(cells).values()
        ]
    return ExperimentPage(name, systems, sections, _versions(home, cells))


def render(page: ExperimentPage) -> str:
    """The page's text; everything that comes from elsewhere is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(_TEMPLATE).render(
        page=page,
        descriptions={config.name: describe(config) for config in page.systems},
        machines=sorted({cell.machine for cell in page.cells}),
        ended=max(cell.finished_at for cell in page.cells),
    )


def _command(cells: Sequence[Cell]) -> str:
    """What runs these cells again."""
    first = cells[0]
    words = [
        f"deeprec experiment run {first.experiment} --data SOURCE --protocol {first.protocol}",
        f"--seeds {','.join(str(seed) for seed in sorted({cell.seed for cell in cells}))}",
        f"--only {','.join(dict.fromkeys(cell.system for cell in cells))}",
        *(f"--set {shlex.quote(override)}" for override in first.overrides.splitlines()),
    ]
    return " ".join(words)


def _by_protocol(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    by_protocol: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_protocol[cell.protocol].append(cell)
    return by_protocol


def _section(warehouse: Database, systems: Sequence[Config], cells: Sequence[Cell]) -> Section:
    compared = compare(systems, cells)
    curves = _curves(warehouse, cells)
    pictures = [
        *_width_picture(widths(systems), curves),
        *_dropout_picture(dropout_rates(systems), curves, compared),
    ]
    return Section(cells[0].protocol, cells[0].data, cells, compared, pictures)


def _curves(warehouse: Database, cells: Sequence[Cell]) -> dict[str, Sequence[Epoch]]:
    """The epochs of each system's first seed."""
    curves: dict[str, Sequence[Epoch]] = {}
    for cell in cells:  # in order of seeds
        if cell.bundle_id and cell.system not in curves:
            curves[cell.system] = read_epochs(warehouse, cell.bundle_id)
    return curves


def _width_picture(
    width_of: Mapping[str, int], curves: Mapping[str, Sequence[Epoch]]
) -> list[Picture]:
    """The poster's figure 3, of the widths that have been run."""
    shown = {f"{width}": curves[name] for name, width in width_of.items() if name in curves}
    if not shown:
        return []
    caption = "Error by epoch on train and dev, by width of the one hidden layer; the first seed."
    return [Picture("The poster's figure 3: one hidden layer", caption, width_plot(shown))]


def _dropout_picture(
    rate_of: Mapping[str, float],
    curves: Mapping[str, Sequence[Epoch]],
    compared: Sequence[SystemFigures],
) -> list[Picture]:
    """The poster's figure 4, of the rates that have been run."""
    shown = {rate: curves[name] for name, rate in rate_of.items() if name in curves}
    dev = {row.system: row.dev for row in compared}
    kept = {rate: spread for name, rate in rate_of.items() if (spread := dev[name])}
    if not kept:
        return []
    caption = (
        "Left: error on dev by epoch for each rate, the first seed. Right: error of the epoch that "
        "was kept, mean and standard deviation over seeds."
    )
    return [Picture("The poster's figure 4: dropout", caption, dropout_plot(shown, kept))]


def _versions(home: Home, cells: Sequence[Cell]) -> dict[str, str]:
    """The versions that the bundles were made with; several where cells differ."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in cells:
        if cell.bundle_id:
            with suppress(BundleError):  # deleted since; its figures stand
                for package, version in open_bundle(
                    home.models / cell.bundle_id
                ).manifest.versions.items():
                    found[package][version] = None
    return {package: ", ".join(versions) for package, versions in found.items()}
