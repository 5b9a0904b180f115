"""Options that commands share, so that one word means one thing everywhere."""

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the project's state; else $DEEPREC_HOME, else ./home."),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override, as train.num_epochs=3; repeatable."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
