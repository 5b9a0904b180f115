"""`deeprec models`: the verbs of the registry.

Holds no logic of its own. Data goes to stdout, everything else to stderr.
"""

from typing import Annotated

import typer

from deeprec.commands.options import HomeOption, JsonOption, SetOption
from deeprec.commands.running import run_stages, stage_named

models_app = typer.Typer(help="Trained models: which scores, and why.", no_args_is_help=True)

BundleArgument = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A model, as `list` names it.")
]


@models_app.command("list")
def list_models(
    home: HomeOption = None, override: SetOption = None, *, as_json: JsonOption = False
) -> None:
    """Every model trained here, newest first, with what has become of it."""
    run_stages([stage_named("nights.champions.list_models")], home, None, override, as_json=as_json)


@models_app.command()
def show(
    bundle: BundleArgument,
    home: HomeOption = None,
    override: SetOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """What a model was made of, how good it was, and all that has become of it."""
    stage = stage_named("nights.champions.show_model", bundle_id=bundle)
    run_stages([stage], home, None, override, as_json=as_json)


@models_app.command()
def promote(
    bundle: BundleArgument,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    home: HomeOption = None,
    override: SetOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Make a model champion by hand; the next run scores with it."""
    stage = stage_named("nights.champions.promote", bundle_id=bundle, reason=reason)
    run_stages([stage], home, None, override, as_json=as_json)


@models_app.command()
def rollback(
    home: HomeOption = None,
    override: SetOption = None,
    run: Annotated[
        str | None, typer.Option(help="The run to go back to; else the last by another model.")
    ] = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Publish the last run of another model at once, unscored, and make that model champion."""
    stage = stage_named("nights.champions.rollback", run_id=run)
    run_stages([stage], home, None, override, as_json=as_json)
