"""What a person reads of an experiment in the Prefect UI: its tables and pictures as markdown."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flows.artifacts import Page, as_key, as_text, table

if TYPE_CHECKING:
    from deeprec.experiments.comparison import SystemFigures
    from deeprec.pages.experiment_sections import ExperimentPage, Section

_HEADER = ("system", "seeds", "epochs", "dev", "test", "bias floor", "published", "verdict")


def experiment_page(shown: "ExperimentPage", written: Path) -> Page:
    """A table and pictures a protocol, and where the whole page is."""
    parts = [f"# Experiment {as_text(shown.experiment)}", f"The whole page: `{written}`"]
    for section in shown.sections:
        parts += _section(section)
    key = f"experiment-{as_key(shown.experiment)}"
    return Page(key, "Systems side by side", "\n\n".join(parts))


def _section(section: "Section") -> Iterator[str]:
    yield f"## {as_text(section.protocol)}, on {as_text(section.data)}"
    yield table(_HEADER, [_row(row) for row in section.systems])
    for row in section.systems:
        for failure in row.failures:
            yield f"**{as_text(row.system)}** failed, {as_text(failure)}"
    for picture in section.pictures:
        yield f"### {picture.title}"
        yield f"![{as_text(picture.caption)}]({picture.address})"


def _row(row: "SystemFigures") -> Sequence[object]:
    """A figure of another protocol says so itself."""
    figures = (str(figure or "") for figure in (row.dev, row.test, row.test_bias))
    published = "; ".join(map(str, row.published))
    return (row.system, len(row.seeds), row.epochs, *figures, published, row.verdict)
