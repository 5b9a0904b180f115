"""`make demo`: the whole pipeline on a synthetic sample, on a Prefect server of its own."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table

from deeprec.errors import DeeprecError
from deeprec.home import Home
from deeprec.progress import Progress
from deeprec.sample import write_sample
from deeprec.terminal import progress_bars
from deeprec.warehouse import open_database, statement
from flows.embedded import start_server

CONFIG = Path(__file__).parents[1] / "deployments" / "config" / "demo.toml"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def demo(
    home: Annotated[Path, typer.Option(help="Folder that everything goes into.")] = Path("demo"),
) -> None:
    """Generate a sample, run the pipeline on it, show ten recommendations for one user."""
    diagnostics = Console(stderr=True)
    try:
        run_pipeline(Home.locate(home), diagnostics)
        show_result(Home.locate(home), Console(soft_wrap=True))
    except DeeprecError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        diagnostics.print("interrupted; run it again to go on from here")
        sys.exit(_INTERRUPTED)


def run_pipeline(home: Home, console: Console) -> None:
    """Run pipeline-flow on the home's sample, which is made first where it is not there."""
    with progress_bars(console) as progress:
        server = start_server(home)
        sample = make_sample(home, progress)
        server.wait_until_ready()

        from flows.pipeline import pipeline_flow  # noqa: PLC0415 - the server's settings come first
        from flows.progress import watcher  # noqa: PLC0415

        watcher.set(progress)
        pipeline_flow((str(sample),), home.path, CONFIG)


def make_sample(home: Home, progress: Progress) -> Path:
    """The sample's folder; one that is there is whole."""
    folder = home.path / "sample"
    if not folder.exists():
        write_sample(folder, progress=progress)
    return folder


def show_result(home: Home, console: Console) -> None:
    """Print where everything is, and what SQL says of one user."""
    with open_database(home.predictions, read_only=True) as predictions:
        (user_id,) = predictions.row("scores/most_active_user")
        recommended = predictions.rows("scores/recommended_titles", user_id=user_id)
    places = Table.grid(padding=(0, 2))
    for name, path in {
        "ratings, vectors, splits, figures": home.warehouse,
        "models, one folder each": home.models,
        "predictions, for analysts": home.predictions,
        "Prefect's record of the runs": home.prefect,
    }.items():
        places.add_row(name, str(path))
    console.print("\nWhere everything is", places, sep="\n")
    console.print(f"\nTen recommendations for user {user_id}, from {home.predictions.name}:")
    console.print(Syntax(statement("scores/recommended_titles").strip(), "sql"))
    titles = Table("rank", "title", "year", "predicted_rating")
    for row in recommended:
        titles.add_row(*("" if value is None else str(value) for value in row))
    console.print(titles)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(demo)
    app()
