"""Our accuracy beside well-kept peers': the same split, one run, one table of RMSE and seconds.

    python benchmarks/accuracy.py SOURCE... --home HOME --config FILE --seeds 0,1,2

The pipeline's own stages take in the ratings and divide them. Peers come with the extra `bench`;
one that is not installed has a row that says so.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.comparison import Comparison, Parts
from benchmarks.machine import this_machine
from benchmarks.own import measure_own
from benchmarks.peers import PEERS
from benchmarks.peers.floors import DampedBiases
from benchmarks.report import AccuracyReport, SystemFigures, as_line, as_text
from benchmarks.systems import measure_floors, measure_peer, read_settings, settings_of
from deeprec.commands.terminal import show_progress, text_console
from deeprec.config.loading import load_config
from deeprec.config.run import Config
from deeprec.errors import ConfigError, DeeprecError
from deeprec.home import Home
from deeprec.ingestion.ingest import ingest
from deeprec.progress import Progress, silent
from deeprec.splits import Part
from deeprec.vectors.materialize import materialize, read_scale, read_split
from deeprec.warehouse.opening import open_warehouse


def compare_accuracy(
    home: Home,
    sources: Sequence[str],
    config: Config,
    *,
    seeds: Sequence[int] = (0,),
    peers: Sequence[str] = PEERS,
    settings: Path | None = None,
    peers_see_dev: bool | None = None,
    progress: Progress = silent,
    on_row: Callable[[SystemFigures], None] = lambda _: None,
) -> AccuracyReport:
    """Floors, peers and the bundle that `config` trains, on the split that it names.

    Args:
        home: where the ratings are taken in and the bundles are kept.
        sources: folders, files or globs of ratings.
        config: of the whole run.
        seeds: of each system in turn; peers' settings are chosen with the first.
        peers: names from `PEERS`.
        settings: a TOML file of the settings that peers may be run with; default: see
            `settings_of`.
        peers_see_dev: fit peers to dev too before test; default: if `config.refit` has ours so.
        progress: told of the peers done.
        on_row: told of each system's figures as soon as they are there.

    Raises:
        DeeprecError: a stage cannot run, or a peer or one of its settings does not exist.
    """
    candidates = read_settings(settings or settings_of(config.name), peers)
    if peers_see_dev is None:
        peers_see_dev = config.refit
    ingest(home, sources, config, progress)
    materialized = materialize(home, config, progress)
    with open_warehouse(home, config.warehouse) as warehouse:
        ratings = read_split(warehouse, config.split)
        scale = read_scale(warehouse, ratings.part(Part.TRAIN))
    parts = Parts.of(ratings, scale, peers_see_dev=peers_see_dev)
    fallback = DampedBiases(seed=0, **config.biases.model_dump())
    comparison = Comparison(parts, tuple(seeds), fallback)
    # ours first: LensKit sets torch's threads for the whole process when it is first fitted
    own = measure_own(home, config, ratings, seeds, progress)
    systems = measure_floors(comparison, config.biases)
    for row in (own, *systems):
        on_row(row)
    for done, name in enumerate(peers):
        progress("peers", done, len(peers), "done", name)
        systems.append(measure_peer(comparison, name, candidates[name]))
        on_row(systems[-1])
    progress("peers", len(peers), len(peers), "done")
    systems.append(own)
    num_test = {figures.num_test for figures in systems if figures.test_rmse}
    assert num_test == {parts.test.num_ratings}, num_test
    return AccuracyReport(
        sources=tuple(sources),
        config=config.name,
        protocol=materialized.protocol,
        data_digest=materialized.data_digest,
        num_users=materialized.num_users,
        num_movies=materialized.num_movies,
        split=materialized.split,
        split_id=materialized.split_id,
        counts=materialized.counts,
        seeds=tuple(seeds),
        peers_see_dev=peers_see_dev,
        machine=this_machine(),
        systems=tuple(systems),
    )


def main(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Folders, files or globs of ratings.")
    ],
    *,
    home: Annotated[Path, typer.Option(help="Folder that the ratings and bundles go into.")],
    config: Annotated[Path, typer.Option(help="TOML file of a named run configuration.")],
    protocol: Annotated[
        Path | None,
        typer.Option(help="TOML file of a protocol; replaces the configuration's split."),
    ] = None,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, as train.num_epochs=3."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Whole numbers with commas between.")] = "0",
    peers: Annotated[str, typer.Option(help="Names with commas between.")] = ",".join(PEERS),
    settings: Annotated[
        Path | None, typer.Option(help="TOML file of the settings that peers may be run with.")
    ] = None,
    peers_see_dev: Annotated[
        bool | None,
        typer.Option(
            "--peers-see-dev/--peers-see-train",
            help="Fit peers to dev too before test; default: if `refit` has ours so.",
        ),
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File to write the report to.")] = None,
) -> None:
    """Compare our accuracy with peers' on the same split."""
    try:
        console = text_console(stderr=True, soft_wrap=True, highlight=False)
        with show_progress(console) as progress:
            report = compare_accuracy(
                Home.locate(home),
                sources,
                load_config(config, override or (), protocol),
                seeds=_seeds(seeds),
                peers=[name for name in peers.split(",") if name],
                settings=settings,
                peers_see_dev=peers_see_dev,
                progress=progress,
                on_row=lambda row: console.print(as_line(row)),
            )
    except DeeprecError as error:
        sys.exit(f"error: {error}")
    if json:
        json.write_text(report.model_dump_json(indent=2), encoding="utf-8")
    typer.echo(as_text(report), nl=False)


def _seeds(text: str) -> list[int]:
    try:
        return [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--seeds {text}: expected whole numbers, as 0,1,2") from error


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
