"""How a command runs stages: one after the other, with progress, each report printed as it ends.

Data goes to stdout, everything else to stderr.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import typer
from pydantic import BaseModel
from rich.console import Console

from deeprec.commands.stages import import_stage
from deeprec.commands.terminal import print_report, show_progress, text_console
from deeprec.config.loading import load_config
from deeprec.config.run import Config, with_bundle
from deeprec.home import Home
from deeprec.progress import Progress

Stage = Callable[[Home, Config, Progress], BaseModel]
Show = Callable[[Console, BaseModel], None]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_WIDTH_OF_A_FILE = 160
diagnostics = text_console(stderr=True)
# A file or a pipe has no width: ids stay whole there, for whoever searches it.
_data = text_console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


def stage_named(name: str, **arguments: object) -> Stage:
    """The stage `folder.module.function`, imported when it runs: torch alone takes seconds."""
    module, function = name.rsplit(".", 1)

    def run(home: Home, config: Config, progress: Progress) -> BaseModel:
        stage: Callable[..., BaseModel] = getattr(import_stage(module), function)
        return stage(home, config=config, progress=progress, **arguments)

    return run


def _trained(report: BaseModel) -> Path | None:
    """The bundle that a report is of, which the stages after it go on with."""
    bundle: Path | None = getattr(report, "bundle", None)
    return bundle


def run_stages(
    stages: Sequence[Stage],
    home: Path | None,
    config: Path | None,
    override: Sequence[str] | None,
    protocol: Path | None = None,
    *,
    as_of: str | None = None,
    as_json: bool,
) -> BaseModel:
    """Run stages one after the other and print the report of each as it ends; the last one.

    With `as_of`, in a home put together of what was known then.
    """
    settings = load_config(config, override or (), protocol)
    place = Home.locate(home)
    if as_of is not None:
        history = import_stage("ingestion.history")
        place = history.home_as_of(place, history.parse_moment(as_of), settings)
        diagnostics.print(f"as of {as_of}: {place.path}", highlight=False, soft_wrap=True)
    for stage in stages:
        report = tell(partial(stage, place, settings), as_json=as_json)
        settings = with_bundle(settings, bundle) if (bundle := _trained(report)) else settings
    return report


def tell(
    work: Callable[[Progress], BaseModel], *, as_json: bool, show: Show = print_report
) -> BaseModel:
    """Show how the work goes on, then print what it reports; a person is shown it by `show`."""
    try:
        with show_progress(diagnostics) as progress:
            report = work(progress)
    except KeyboardInterrupt as interrupt:
        diagnostics.print("stopped; run the same command again to go on")
        raise typer.Exit(_INTERRUPTED) from interrupt
    if as_json:
        sys.stdout.write(report.model_dump_json() + "\n")
        sys.stdout.flush()
    else:
        show(_data, report)
    return report
