"""Writing ONNX files, and what each has to go through; knows nothing of models."""

import contextlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnx
import onnx.utils
from onnx import helper

from deeprec.errors import ExportError


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """The exporter warns of torch's own deprecations and of libraries that we do not use."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def anonymous(model: onnx.ModelProto) -> bytes:
    """The graph without the exporter's notes, which hold this machine's source paths."""
    for noted in (*model.graph.node, *model.graph.initializer):
        del noted.metadata_props[:]
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


def checked_opset(path: Path, wanted: int) -> int:
    """The file's opset, once onnx has found the file valid."""
    onnx.checker.check_model(path, full_check=True)
    opset = next(int(used.version) for used in onnx.load(path).opset_import if not used.domain)
    if opset != wanted:
        raise ExportError(
            f"export.opset = {wanted} is not one that this torch can write (it wrote {opset}); "
            "nothing was kept"
        )
    return opset


def cut(path: Path, inputs: Sequence[str], outputs: Sequence[str], into: Path) -> None:
    """Write the part of a graph that these outputs need; it is on disk when this returns."""
    onnx.utils.extract_model(path, into, list(inputs), list(outputs))
    sync(into)


def write_product(path: Path, matrices: Mapping[str, Sequence[str]], opset: int) -> None:
    """Write a graph of the first matrix times the second transposed; on disk when this returns.

    Args:
        path: the file.
        matrices: the names of both inputs and the output, each with those of its axes.
        opset: of the file.
    """
    left, right, product = matrices
    left_info, right_info, product_info = (
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, axes)
        for name, axes in matrices.items()
    )
    node = helper.make_node("Gemm", [left, right], [product], transB=1)
    graph = helper.make_graph([node], "product", [left_info, right_info], [product_info])
    opsets = [helper.make_opsetid("", opset)]
    oldest = helper.find_min_ir_version_for(opsets)
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=oldest), path)
    checked_opset(path, opset)
    sync(path)


def sync(path: Path) -> None:
    """Have the file on disk before a rename lets anyone rely on it."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
