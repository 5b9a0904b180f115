"""An experiment as one HTML page that opens offline: figures side by side, pictures, provenance.

Shows what the warehouse holds of it; trains and measures nothing.
"""

from pathlib import Path

import jinja2
from pydantic import BaseModel, ConfigDict

from deeprec.experiments.families import describe
from deeprec.home import Home
from deeprec.pages.experiment_sections import ExperimentPage, read_page

_TEMPLATE = "experiment.html"


class PageReport(BaseModel):
    """Where a page was written, and how much it shows."""

    model_config = ConfigDict(frozen=True)

    experiment: str
    page: Path
    protocols: tuple[str, ...]
    num_cells: int
    num_failed: int


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


def render(page: ExperimentPage) -> str:
    """The page's text; everything that comes from elsewhere is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(_TEMPLATE).render(
        page=page,
        descriptions={config.name: describe(config) for config in page.systems},
        machines=sorted({cell.machine for cell in page.cells}),
        ended=max(cell.finished_at for cell in page.cells),
    )
    return text.lstrip()  # macros leave lines behind; a page starts with its doctype
