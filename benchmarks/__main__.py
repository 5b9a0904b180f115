"""`make bench`: our accuracy beside that of other libraries, on made-up ratings."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks import accuracy
from benchmarks.report import as_text
from deeprec.commands.terminal import show_progress, text_console
from deeprec.config.loading import load_config
from deeprec.errors import DeeprecError
from deeprec.home import Home
from deeprec.samples.sample import write_sample

_CONFIG = Path(__file__).parents[1] / "deployments" / "config" / "demo.toml"


def bench(
    home: Annotated[Path, typer.Option(help="Folder that the ratings and bundles go into.")],
) -> None:
    """Say what is compared, and compare on a small synthetic sample."""
    typer.echo(accuracy.__doc__)
    try:
        with show_progress(text_console(stderr=True)) as progress:
            place = Home.locate(home)
            sample = place.path / "sample"
            if not sample.exists():
                write_sample(sample, num_users=600, num_movies=200, num_ratings=30_000)
            report = accuracy.compare_accuracy(
                place, [str(sample)], load_config(_CONFIG), progress=progress
            )
    except DeeprecError as error:
        sys.exit(f"error: {error}")
    typer.echo(as_text(report), nl=False)


if __name__ == "__main__":
    typer.run(bench)
