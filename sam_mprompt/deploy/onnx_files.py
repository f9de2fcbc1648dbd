"""ONNX files: a captured counter written with its metadata, and the metadata of such a file."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from ..errors import RunError, UsageError
from .capture import INPUT, OUTPUT
from .metadata import KEY, Metadata

_OPSET = 20


def onnx_model(program: ExportedProgram) -> Any:
    """Return a captured counter as an `onnx.ModelProto`. Raises UsageError where onnx and onnxscript are missing."""
    needed("onnx", "onnxscript")
    try:
        with _quietly():
            made = torch.onnx.export(
                program, dynamo=True, opset_version=_OPSET, input_names=[INPUT], output_names=[OUTPUT], verbose=False
            )
    except Exception as error:  # an operator that ONNX lacks, and whatever else the translation meets
        raise RunError(f"This network cannot be written as ONNX: {_first_line(error)}") from error
    assert made is not None, "dynamo returns a program"
    model = made.model_proto
    _forget_python(model)
    return model


def write_onnx(model: Any, metadata: Metadata, path: Path) -> None:
    """Write a model as one file. Raises RunError for one above the 2 GB that an ONNX file can hold."""
    onnx = import_module("onnx")
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: metadata.to_json()})
    model.producer_name, model.producer_version = "sam-mprompt", metadata.written_by
    try:
        onnx.save_model(model, str(path))
    except ValueError as error:  # protobuf's limit
        raise RunError(f"'{path}' cannot be written: {_first_line(error)}") from error


def needed(*packages: str, extra: str = "onnx") -> None:
    """Raise UsageError where one of these packages is not installed."""
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            raise UsageError(
                f"This takes the package '{package}', which is not installed.", about="extra", extra=extra
            ) from error


def _forget_python(model: Any) -> None:
    """Take out what the exporter notes of source files and modules: nobody's paths belong into a file to share."""
    model.graph.doc_string = model.doc_string = ""
    del model.graph.metadata_props[:]
    for group in (model.graph.node, model.graph.value_info, model.graph.initializer, model.graph.input,
                  model.graph.output):  # fmt: skip
        for entry in group:
            entry.doc_string = ""
            if hasattr(entry, "metadata_props"):
                del entry.metadata_props[:]
    for function in model.functions:
        for node in function.node:
            node.doc_string = ""
            del node.metadata_props[:]


@contextmanager
def _quietly() -> Iterator[None]:
    """Let the exporter say nothing: it prints its steps, and logs what it passes over."""
    import warnings

    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
