"""OpenVINO's kind of file: made of an ONNX model, written with its metadata."""

import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import RunError
from .metadata import Metadata
from .openvino_archive import Archived, write_archive
from .openvino_backend import onnx_network, openvino
from .running import first_line


def openvino_network(model: Any, *, half: bool) -> tuple[bytes, bytes]:
    """Return OpenVINO's graph and weights of an `onnx.ModelProto`.

    Its reader and writer are used, and not its converter, which tells its makers of each use.

    Args:
        model: in float32 or int8.
        half: whether weights are kept in float16, whatever the CPU computes in.

    Raises:
        UsageError: OpenVINO is not installed.
        RunError: it has no such operator.
    """
    package, onnx = openvino(), import_module("onnx")
    with tempfile.TemporaryDirectory() as folder:
        source, graph = Path(folder) / "network.onnx", Path(folder) / "network.xml"
        onnx.save_model(model, str(source))
        try:
            network = onnx_network(source)
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            raise RunError(f"This network cannot be written for OpenVINO: {first_line(error)}") from error
        package.save_model(network, str(graph), compress_to_fp16=half)
        return graph.read_bytes(), graph.with_suffix(".bin").read_bytes()


def write_openvino(network: tuple[bytes, bytes], metadata: Metadata, path: Path) -> None:
    """Write a graph and its weights as one file with metadata, whatever the file is called."""
    write_archive(Archived(*network, metadata.to_json()), path)
