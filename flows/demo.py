"""`make demo`: the whole pipeline on a synthetic sample, on a Prefect server of its own."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from deeprec.commands.terminal import show_progress, text_console
from deeprec.errors import DeeprecError
from deeprec.home import Home
from deeprec.models.registry import read_evaluations
from deeprec.progress import Progress
from deeprec.samples.sample import write_sample
from deeprec.scoring.publishing import ScoreReport
from deeprec.splits import Part
from deeprec.warehouse.database import open_database, statement
from deeprec.warehouse.opening import open_warehouse
from flows.embedded import start_server

CONFIG = Path(__file__).parents[1] / "deployments" / "config" / "demo.toml"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def demo(
    home: Annotated[Path, typer.Option(help="Folder that everything goes into.")] = Path("demo"),
) -> None:
    """Make a sample, run the pipeline on it, show what came of it for one user."""
    place, diagnostics = Home.locate(home), text_console(stderr=True)
    try:
        report = run_pipeline(place, diagnostics)
        show(place, report, text_console(soft_wrap=True))
    except DeeprecError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        diagnostics.print("interrupted; run it again to go on from here")
        sys.exit(_INTERRUPTED)


def run_pipeline(home: Home, console: Console) -> ScoreReport:
    """Run pipeline-flow on the home's sample, which is made first where it is not there."""
    with show_progress(console) as progress:
        server = start_server(home)
        sample = make_sample(home, progress)
        server.wait_until_ready()

        from flows.pipeline import pipeline_flow  # noqa: PLC0415 - the server's address comes first
        from flows.progress import watcher  # noqa: PLC0415

        watcher.set(progress)
        return pipeline_flow((str(sample),), home.path, CONFIG)


def make_sample(home: Home, progress: Progress) -> Path:
    """The sample's folder; one that is there is whole."""
    folder = home.path / "sample"
    if not folder.exists():
        write_sample(folder, progress=progress)
    return folder


def show(home: Home, report: ScoreReport, console: Console) -> None:
    """Print what was made, where it is, how good it is, and what SQL says of one user."""
    console.print(
        f"{report.num_predictions:,} predicted ratings: {report.num_users:,} users x "
        f"{report.num_movies:,} movies\n",
        places(home),
        figures(home, report.bundle_id),
        sep="\n",
    )
    with open_database(home.predictions, read_only=True) as predictions:
        (user_id,) = predictions.row("scores/typical_user")
        recommended = predictions.rows("scores/recommended_titles", user_id=user_id)
    console.print(f"\n{home.predictions.name}, with $user_id = {user_id}\n")
    console.print(Syntax(statement("scores/recommended_titles").strip(), "sql", word_wrap=True))
    console.print(table(("rank", "title", "year", "predicted_rating"), recommended))


def places(home: Home) -> str:
    """Where everything is."""
    named = {
        "predictions, for analysts": home.predictions,
        "models, a folder each": home.models,
        "ratings, vectors, splits, figures": home.warehouse,
        "Prefect's record of the runs": home.prefect,
    }
    return "".join(f"{name:<35}{path}\n" for name, path in named.items())


def figures(home: Home, bundle_id: str) -> Table:
    """The model beside its floors on held-out ratings."""
    with open_warehouse(home) as warehouse:
        evaluations = read_evaluations(warehouse, bundle_id, Part.TEST)
    rows = [(each.predictor, f"{each.rmse:.4f}", f"{each.mae:.4f}") for each in evaluations]
    return table(("predictor, on held-out ratings", "RMSE", "MAE"), rows)


def table(header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Table:
    """Rows as a person reads them."""
    drawn = Table(*header, box=None, header_style="bold", pad_edge=False, padding=(0, 2))
    for row in rows:
        drawn.add_row(*("" if value is None else str(value) for value in row))
    return drawn


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(demo)
    app()
