"""What an experiment's page shows, read from the warehouse: a section a protocol.

How it looks is the page's; here it is put together.
"""

import shlex
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from deeprec.config.run import Config
from deeprec.errors import BundleError, WarehouseError
from deeprec.experiments.cells import Cell, read_cells
from deeprec.experiments.comparison import SystemFigures, best_on_dev, compare
from deeprec.experiments.families import dropout_rates, widths
from deeprec.experiments.sets import find_set, load_systems
from deeprec.home import Home
from deeprec.metrics.breakdowns import BreakdownTable, Group, breakdown_tables
from deeprec.models.bundles import open_bundle
from deeprec.models.registry import Epoch, read_epochs, read_groups
from deeprec.pages.experiment_pictures import (
    Picture,
    breakdown_pictures,
    dropout_picture,
    width_picture,
)
from deeprec.splits import Part
from deeprec.warehouse.database import Database
from deeprec.warehouse.opening import read_warehouse


@dataclass(frozen=True)
class Section:
    """All that the page shows of one protocol."""

    protocol: str
    data: str
    cells: Sequence[Cell]
    systems: Sequence[SystemFigures]
    pictures: Sequence[Picture]
    breakdowns: Sequence[BreakdownTable]

    @property
    def on_test(self) -> list[SystemFigures]:
        """Systems published on test, or not at all; best first."""
        shown = self._compared_on("test")
        return sorted(shown, key=lambda row: row.test.mean if row.test else inf)

    @property
    def on_dev(self) -> list[SystemFigures]:
        """Where any was published on dev: those, and systems not published at all; best first."""
        shown = self._compared_on("dev")
        if not any(row.published for row in shown):
            return []
        return sorted(shown, key=lambda row: row.dev.mean if row.dev else inf)

    def _compared_on(self, part: str) -> list[SystemFigures]:
        return [row for row in self.systems if row.published_on(part) or not row.published]

    @property
    def best(self) -> SystemFigures | None:
        """The system that dev would choose."""
        return best_on_dev(self.systems)

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


def read_page(home: Home, experiment: str) -> ExperimentPage:
    """What the warehouse holds of an experiment, drawn; errors as of `write_report`."""
    systems = load_systems(experiment)
    name = find_set(experiment).name
    if not home.warehouse.exists():
        raise _never_run(home, name)
    with read_warehouse(home) as warehouse:
        cells = read_cells(warehouse, name)
        if not cells:
            raise _never_run(home, name)
        sections = [
            _section(warehouse, systems, of_protocol)
            for of_protocol in _by_protocol(cells).values()
        ]
    return ExperimentPage(name, systems, sections, _versions(home, cells))


def _never_run(home: Home, name: str) -> WarehouseError:
    return WarehouseError(
        f"{home.path}: no cell of {name} has been run here; `deeprec experiment run {name} "
        "--data SOURCE --protocol NAME` runs them"
    )


def _by_protocol(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    by_protocol: dict[str, list[Cell]] = defaultdict(list)
    for cell in cells:
        by_protocol[cell.protocol].append(cell)
    return by_protocol


def _section(warehouse: Database, systems: Sequence[Config], cells: Sequence[Cell]) -> Section:
    compared = compare(systems, cells)
    curves = _curves(warehouse, cells)
    groups = _groups(warehouse, best_on_dev(compared), cells)
    pictures = [
        *width_picture(widths(systems), curves),
        *dropout_picture(dropout_rates(systems), curves, compared),
        *breakdown_pictures(groups),
    ]
    tables = breakdown_tables(groups)
    return Section(cells[0].protocol, cells[0].data, cells, compared, pictures, tables)


def _groups(
    warehouse: Database, best: SystemFigures | None, cells: Sequence[Cell]
) -> Sequence[Group]:
    """The breakdowns on test of the best system's first seed."""
    for cell in cells:  # in order of seeds
        if best and cell.system == best.system and cell.bundle_id:
            return read_groups(warehouse, cell.bundle_id, Part.TEST)
    return ()


def _curves(warehouse: Database, cells: Sequence[Cell]) -> dict[str, Sequence[Epoch]]:
    """The epochs of each system's first seed."""
    curves: dict[str, Sequence[Epoch]] = {}
    for cell in cells:  # in order of seeds
        if cell.bundle_id and cell.system not in curves:
            curves[cell.system] = read_epochs(warehouse, cell.bundle_id)
    return curves


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
