"""A program, begun by tests: has imported what takes seconds, and forks a child for whoever asks.

Reads a line of JSON a child, whose `arguments` are those of Python: `-m MODULE ...` or `-c PROGRAM
...`. Prints the child's process id, and its wait status once it has ended.
"""

import gc
import json
import os
import runpy
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import cache

import matplotlib.backends.backend_agg  # noqa: F401 - and more: for the children
import torch
import typer  # noqa: F401
from torch._export import utils
from torch.onnx._internal.exporter._registration import ONNXRegistry

import deeprec.experiments.experiment
import deeprec.nights.nightly
import deeprec.training.train  # noqa: F401
from deeprec.export.onnx_files import quiet_exporter


def main() -> None:
    """Never runs what is imported, but for an export: threads do not survive a fork."""
    for owner, name in (
        (ONNXRegistry, "from_torchlib"),
        (utils, "_collect_all_valid_cia_ops_for_namespace"),
    ):
        setattr(owner, name, staticmethod(cache(getattr(owner, name))))  # else read anew each time
    with quiet_exporter():  # what the first one loads and traces is there for all
        torch.onnx.export(torch.nn.Linear(2, 2).eval(), (torch.zeros(1, 2),), verbose=False)
    gc.freeze()
    print("ready", flush=True)  # noqa: T201 - whoever began this reads it
    for line in sys.stdin:
        child = os.fork()
        if not child:
            os._exit(become(**json.loads(line)))  # to take down what is imported takes seconds too
        print(child, flush=True)  # noqa: T201
        print(os.waitpid(child, 0)[1], flush=True)  # noqa: T201


def become(
    arguments: Sequence[str], environment: Mapping[str, str], stdout: str, stderr: str
) -> int:
    """The exit status of what a process of its own would do that Python was started for."""
    for descriptor, path in enumerate((os.devnull, stdout, stderr)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    option, what, *rest = arguments
    sys.argv[:] = [option, *rest]
    try:
        if option == "-m":
            runpy.run_module(what, run_name="__main__", alter_sys=True)
        else:
            exec(what, {"__name__": "__main__"})  # noqa: S102 - a test's own program
    except SystemExit as exit_:
        if isinstance(exit_.code, str):
            sys.stderr.write(f"{exit_.code}\n")
            return 1
        return int(exit_.code or 0)
    except BaseException:  # noqa: BLE001 - told as Python tells it
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    main()
