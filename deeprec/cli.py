"""The command line: the stages' verbs, their reports as text or JSON, their errors in a sentence.

Holds no logic of a stage. Data goes to stdout, everything else to stderr.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import typer
from pydantic import BaseModel
from rich.console import Console

from deeprec.config import Config, load_config, with_bundle
from deeprec.errors import ConfigError, DeeprecError
from deeprec.experiment_commands import experiment_app
from deeprec.home import Home
from deeprec.options import HomeOption, JsonOption, SetOption
from deeprec.progress import Progress
from deeprec.stages import import_stage
from deeprec.terminal import print_report, show_progress

app = typer.Typer(
    name="deeprec",
    help="Rating files in, predicted ratings for every user in SQL out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(experiment_app, name="experiment")
_data = Console(soft_wrap=True)
_diagnostics = Console(stderr=True)
_INGEST = "ingestion.ingest"
_SCORE = "scoring.score"
_INTERRUPTED = 130  # 128 + SIGINT, as shells have it

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="TOML file of a named run configuration.")
]
ProtocolOption = Annotated[
    Path | None,
    typer.Option("--protocol", help="TOML file of a protocol; replaces the configuration's split."),
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

Stage = Callable[[Home, Config, Progress], BaseModel]


def _whole(text: str) -> int:
    """A count; 100e6 is one too."""
    count = float(text)
    if not count.is_integer():
        raise ValueError(f"{text} is no whole number")
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
    _run([_stage(_INGEST, sources=sources)], home, config, override, as_json=as_json)


@app.command()
def materialize(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build one vector a user, and divide the ratings into train, dev and test."""
    _run([_stage("vectors.materialize")], home, config, override, protocol, as_json=as_json)


@app.command()
def train(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model and export it as a bundle."""
    _run([_stage("training.train")], home, config, override, protocol, as_json=as_json)


@app.command()
def evaluate(
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    protocol: ProtocolOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the newest bundle on held-out ratings (evaluate.part = test or dev)."""
    _run([_stage("evaluation.evaluate")], home, config, override, protocol, as_json=as_json)


@app.command()
def score(
    *,
    ratings: RatingsOption = None,
    top: TopOption = None,
    output: OutputOption = None,
    home: HomeOption = None,
    config: ConfigOption = None,
    override: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Predict every movie for every user and publish the tables.

    With --ratings, predict for the people of a file instead: nothing is trained, nothing is
    published, and the warehouse is only read, if the model needs it at all.
    """
    if output and not ratings:
        raise ConfigError("--output goes with --ratings; all users' predictions are published")
    people = {"sources": ratings, "output": output}
    stage = _stage("newcomers.score_newcomers", **people) if ratings else _stage(_SCORE)
    _run([stage], home, config, _with_top(override, top), as_json=as_json)


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
    stage = _stage("explaining.explain", **asked)
    _run([stage], home, config, _with_top(override, top), as_json=as_json)


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
        "vectors.materialize",
        "training.train",
        "evaluation.evaluate_held_out",
        _SCORE,
    )
    stages = [_stage(_INGEST, sources=sources), *(_stage(name) for name in names)]
    _run(stages, home, config, override, protocol, as_json=as_json)


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
        report: BaseModel = import_stage("sample").write_sample(
            folder,
            num_users=users,
            num_movies=movies,
            num_ratings=ratings,
            seed=seed,
            layout=layout,
            progress=progress,
        )
        return report

    _tell(write, as_json=as_json)


def main() -> None:
    """Run a command; an error that the user can mend is one sentence and status 1."""
    try:
        app()
    except DeeprecError as error:
        _say(str(error))
        sys.exit(1)
    except OSError as error:  # a full disk, a folder that may not be written
        _say(f"{error.filename or 'the system'}: {error.strerror or error}; nothing was published")
        sys.exit(1)


def _say(message: str) -> None:
    text = f"error: {message}"
    _diagnostics.print(text, style="red", highlight=False, markup=False, soft_wrap=True)


def _stage(name: str, **arguments: object) -> Stage:
    """The stage `module.function`, imported when it runs: torch alone takes seconds."""
    module, function = name.split(".")

    def run(home: Home, config: Config, progress: Progress) -> BaseModel:
        stage: Callable[..., BaseModel] = getattr(import_stage(module), function)
        return stage(home, config=config, progress=progress, **arguments)

    return run


def _with_top(override: Sequence[str] | None, top: int | None) -> list[str]:
    """The overrides, and what `--top` says in their words."""
    return [*(override or ()), *([] if top is None else [f"score.top_n={top}"])]


def _trained(report: BaseModel) -> Path | None:
    """The bundle that a report is of, which the stages after it go on with."""
    bundle: Path | None = getattr(report, "bundle", None)
    return bundle


def _run(
    stages: Sequence[Stage],
    home: Path | None,
    config: Path | None,
    override: Sequence[str] | None,
    protocol: Path | None = None,
    *,
    as_json: bool,
) -> None:
    """Run stages one after the other and print the report of each as it ends."""
    settings = load_config(config, override or (), protocol)
    for stage in stages:
        report = _tell(partial(stage, Home.locate(home), settings), as_json=as_json)
        settings = with_bundle(settings, bundle) if (bundle := _trained(report)) else settings


def _tell(work: Callable[[Progress], BaseModel], *, as_json: bool) -> BaseModel:
    """Show how the work goes on, then print what it reports."""
    try:
        with show_progress(_diagnostics) as progress:
            report = work(progress)
    except KeyboardInterrupt as interrupt:
        _diagnostics.print("stopped; run the same command again to go on")
        raise typer.Exit(_INTERRUPTED) from interrupt
    if as_json:
        sys.stdout.write(report.model_dump_json() + "\n")
        sys.stdout.flush()
    else:
        print_report(_data, report)
    return report


if __name__ == "__main__":
    main()
