"""What importing a module really pulls in, looked at in a process of its own."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "onnx", "prefect", "onnxruntime", "duckdb", "polars", "pydantic", "matplotlib"}


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
