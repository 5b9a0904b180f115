"""What importing a module really pulls in, and what its names say of shapes."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"torch", "onnx", "prefect", "onnxruntime", "duckdb", "polars", "pydantic", "matplotlib"}

PROJECT = Path(__file__).parents[1]
SHAPED = re.compile(
    r"_*[a-z][a-z0-9_]*_([A-Z][A-Z1]{0,2})"
)  # as values_UM: of U users and M movies


def modules_after(statement: str) -> set[str]:
    program = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import deeprec", HEAVY),
        ("import deeprec.cli", {"torch", "onnx", "prefect", "polars", "onnxruntime"}),
        ("import deeprec.ingestion.ingest", {"torch", "onnx", "prefect", "onnxruntime"}),
        ("import deeprec.scoring.score", {"torch", "onnx", "onnxscript", "prefect"}),
        ("import deeprec.evaluation.evaluate", {"torch", "onnx", "onnxscript", "prefect"}),
        ("import deeprec.scoring.newcomers", {"torch", "onnx", "onnxscript", "prefect"}),
        ("import deeprec.scoring.explaining", {"torch", "onnx", "onnxscript", "prefect"}),
        ("import deeprec.training.train", {"prefect"}),
        ("import deeprec.models.recurrent_inference", {"torch", "onnx", "onnxscript", "prefect"}),
        ("import deeprec.training.recurrent_trainer", HEAVY - {"torch"}),
        ("import flows.score", {"torch", "onnx", "onnxscript"}),
    ],
)
def test_an_import_stays_as_light_as_promised(statement: str, absent: set[str]) -> None:
    assert set() == absent & modules_after(statement)


def names_of(module: ast.Module) -> set[str]:
    """What a module calls its own arrays; what it reads of others is explained there."""
    names: set[str] = set()
    for node in ast.walk(module):
        match node:
            case ast.Name(id=name) | ast.arg(arg=name):
                names.add(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=name):
                names.add(name)
    return names


def test_every_letter_of_a_shape_is_explained_in_its_module() -> None:
    unexplained = {}
    for folder in ("deeprec", "flows", "benchmarks"):
        for file in sorted((PROJECT / folder).rglob("*.py")):
            module = ast.parse(file.read_text(encoding="utf-8"))
            legend = (ast.get_docstring(module) or "").partition("Shape legend:")[2]
            shapes = filter(None, map(SHAPED.fullmatch, names_of(module)))
            letters = {letter for shape in shapes for letter in shape[1]} - {"1"}
            if missing := letters - set(re.findall(r"\b[A-Z]\b", legend)):
                unexplained[str(file.relative_to(PROJECT))] = sorted(missing)
    assert {} == unexplained
