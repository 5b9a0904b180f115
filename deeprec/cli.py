"""The command line: the stages' verbs, their reports as text or JSON, their errors in a sentence.

Holds no logic of a stage. Data goes to stdout, everything else to stderr.
"""

import math
import sys
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel

from deeprec.commands.experiments import experiment_app
from deeprec.commands.models import models_app
from deeprec.commands.options import HomeOption, JsonOption, SetOption
from deeprec.commands.running import diagnostics, run_stages, stage_named, tell
from deeprec.commands.stages import import_stage
from deeprec.errors import ConfigError, DeeprecError
from deeprec.progress import Progress

app = typer.Typer(
    name="deeprec",
    help="Rating files in, predicted ratings for every user in SQL out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiment_app, name="experiment")
app.add_typer(models_app, name="models")
_INGEST = "ingestion.ingest.ingest"
_SCORE = "scoring.score.score"
_SCORE_NEWCOMERS = "scoring.newcomers.score_newcomers"

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of a named run configuration.")
]
ProtocolOption = Annotated[
    Path | None,
    typer.Option("--protocol", help="TOML file of a protocol; replaces the configuration's split."),
]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="Work with what was known at the end of that day (or at that moment, as "
        "2026-01-31T04:00, UTC), in a home of its own under as-of.",
    ),
]
SourcesArgument = Annotated[
    list[str], typer.Argument(metavar="SOURCE...", help="Folders, files or globs of ratings.")
]

RatingsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ratings",
        metavar="FILE",
        help="Rating files of people to predict for, in any layout that ingest reads; repeatable. "
        "They are new here, whoever has the same id in the warehouse.",
    ),
]
TopOption = Annotated[
    int | None, typer.Option("--top", metavar="N", help="Rows to show; the same as score.top_n.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option(help="With --ratings: every movie for each person, as .csv, .parquet or .json."),
]


def _whole(text: str) -> int:
    """A count; 100e6 is one too."""
    try:
        count = float(text)
    except ValueError:
        count = math.nan
    if not count.is_integer():
        raise typer.BadParameter(f"{text} is no whole number")
    return int(count)


@app.command()
def ingest(
    sources: SourcesArgument,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take rating files into the warehouse."""
    run_stages([stage_named(_INGEST, sources=sources)], home, config, override, as_json=as_json)


@app.command()
def materialize(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    *,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build one vector a user, and divide the ratings into train, dev and test."""
    stage = stage_named("vectors.materialize.materialize")
    run_stages([stage], home, config, override, protocol, as_of=as_of, as_json=as_json)


@app.command()
def train(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    *,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model and export it as a bundle."""
    stage = stage_named("training.train.train")
    run_stages([stage], home, config, override, protocol, as_of=as_of, as_json=as_json)


@app.command()
def evaluate(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    *,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the newest bundle on held-out ratings (evaluate.part = test or dev)."""
    stage = stage_named("evaluation.evaluate.evaluate")
    run_stages([stage], home, config, override, protocol, as_of=as_of, as_json=as_json)


@app.command()
def score(
    *,
    ratings: RatingsOption = None,
    top: TopOption = None,
    output: OutputOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    as_of: AsOfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict every movie for every user and publish the tables.

    With --ratings, predict for the people of a file instead: nothing is trained, nothing is
    published, and the warehouse is only read, if the model needs it at all.
    """
    if output and not ratings:
        raise ConfigError("--output goes with --ratings; all users' predictions are published")
    people = {"sources": ratings, "output": output}
    stage = stage_named(_SCORE_NEWCOMERS, **people) if ratings else stage_named(_SCORE)
    told = _with_top(override, top)
    run_stages([stage], home, config, told, as_of=as_of, as_json=as_json)


@app.command()
def explain(
    *,
    user: Annotated[int, typer.Option(help="The source's id of a user.")],
    movie: Annotated[int, typer.Option(help="The source's id of a movie.")],
    ratings: RatingsOption = None,
    top: TopOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say which of a user's ratings moved a prediction, and by how much each."""
    asked = {"user_id": user, "movie_id": movie, "sources": ratings or ()}
    stage = stage_named("scoring.explaining.explain", **asked)
    run_stages([stage], home, config, _with_top(override, top), as_json=as_json)


@app.command()
def pipeline(
    sources: SourcesArgument,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    *,
    protocol: ProtocolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Do it all: ingest, materialize, train, evaluate, score."""
    names = (
        "vectors.materialize.materialize",
        "training.train.train",
        "evaluation.evaluate.evaluate_held_out",
        _SCORE,
    )
    stages = [stage_named(_INGEST, sources=sources), *(stage_named(name) for name in names)]
    run_stages(stages, home, config, override, protocol, as_json=as_json)


@app.command()
def nightly(
    sources: SourcesArgument,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    *,
    night_of: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day that live errors are entered under."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """A whole night: take in what arrived, check, measure, train if need be, score, publish.

    SOURCE are drop folders: what is in them is what counts, so a file that is gone takes its
    ratings along. Steps whose inputs did not change are skipped; broken files are held back.
    """
    day = night_of.date() if night_of else None
    stage = stage_named("nights.nightly.run_night", sources=sources, night_of=day)
    run_stages([stage], home, config, override, as_json=as_json)


@app.command()
def status(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """How things stand; exits with 0 when all is well, 1 with a warning, 2 when it is critical."""
    told = run_stages(
        [stage_named("nights.status.status")], home, config, override, as_json=as_json
    )
    raise typer.Exit(getattr(told, "exit_code", 0))


@app.command()
def report(
    night: Annotated[
        str | None, typer.Option(help="The night, as `nights` has it; else the latest.")
    ] = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Write a night as one HTML page that opens offline."""
    stage = stage_named("pages.night.report", night=night)
    run_stages([stage], home, config, override, as_json=as_json)


@app.command()
def reproduce(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="A run; else the one that is published.")
    ] = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Train and score again what a past run was made of, and say what came out the same."""
    stage = stage_named("nights.reproduction.reproduce", run_id=run)
    run_stages([stage], home, config, override, as_json=as_json)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="A new folder to write into.")],
    *,
    ratings: Annotated[
        int, typer.Option(parser=_whole, metavar="N", help="How many, as 100000 or 100e6.")
    ] = 100_000,
    users: Annotated[int, typer.Option(help="How many may rate.", min=1)] = 2_000,
    movies: Annotated[int, typer.Option(help="How many are rated.", min=1)] = 400,
    seed: Annotated[int, typer.Option(help="The same seed writes the same bytes.", min=0)] = 0,
    layout: Annotated[
        Literal["netflix-folder", "netflix-combined"],
        typer.Option(help="A file a movie, or some files for all."),
    ] = "netflix-folder",
    as_json: JsonOption = False,
) -> None:
    """Write made-up ratings in Netflix's layout and shape, to try and to measure with.

    Netflix's own size: --ratings 100480507 --users 480189 --movies 17770.
    """

    def write(progress: Progress) -> BaseModel:
        report: BaseModel = import_stage("samples.sample").write_sample(
            folder,
            num_users=users,
            num_movies=movies,
            num_ratings=ratings,
            seed=seed,
            layout=layout,
            progress=progress,
        )
        return report

    tell(write, as_json=as_json)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        sys.stdout.write(f"deeprec {version('deeprec')}\n")
        raise typer.Exit


@app.callback()
def _options(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say which it is."),
    ] = False,
) -> None:
    """Rating files in, predicted ratings for every user in SQL out."""
    del show_version


def main() -> None:
    """Run a command; an error that the user can mend is one sentence and status 1."""
    try:
        app()
    except DeeprecError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        _say(f"{error.filename or 'the system'}: {error.strerror or error}")
        sys.exit(1)


def _say(message: str) -> None:
    text = f"error: {message}"
    diagnostics.print(text, style="red", highlight=False, soft_wrap=True)


def _with_top(override: Sequence[str] | None, top: int | None) -> list[str]:
    """The overrides, and what `--top` says in their words."""
    return [*(override or ()), *([] if top is None else [f"score.top_n={top}"])]


if __name__ == "__main__":
    main()
