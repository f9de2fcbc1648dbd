"""An exported file run by OpenVINO on the CPU: its own kind of file, or an ONNX file as it is. Free of torch."""

import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from ..arrays import FloatArray
from ..errors import UsageError
from ..files import is_file
from .fixed_tile import on_a_fixed_tile
from .metadata import KEY, Metadata
from .openvino_archive import read_archive
from .running import check_density, check_signature, decoded, failure, first_line, threads

NAME = "openvino"
"""The device of a network that OpenVINO runs."""

_SAID_FIRST = ("Exception from", "Check '")
"""How OpenVINO begins its messages: with lines of its own source."""


class OpenVinoBackend:
    """A network in a file of `export`, run by OpenVINO on the CPU.

    Args:
        path: a file of OpenVINO's kind, or an ONNX file.
        device: None, "cpu" or "openvino", which are one.
        archived: whether it is of OpenVINO's kind.

    Attributes:
        metadata: what the file says of itself.
        device: "openvino".
        threads: that compute.

    Raises:
        UsageError: no such file, one that is damaged or that `export` did not write, another device, or OpenVINO is
            not installed.
    """

    device = NAME

    def __init__(self, path: Path, device: str | None = None, *, archived: bool) -> None:
        core = openvino_core()
        if device is not None and device.lower() not in ("cpu", NAME):
            raise UsageError(f"Device '{device}' is not available: '{path}' is run by OpenVINO on the CPU.")
        if not is_file(path):
            raise UsageError(f"No file '{path}'.")
        self.metadata, network = read_network(core, path, archived=archived)
        own = self.metadata
        self.stride, self.size_divisor, self.mean, self.std = own.stride, own.size_divisor, own.mean, own.std
        try:
            self._compiled = core.compile_model(network, "CPU", _settings(own.dtype))
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            raise UsageError(f"'{path}' cannot be run by OpenVINO: {_told(error)}") from error
        self.threads = int(self._compiled.get_property("INFERENCE_NUM_THREADS"))
        self._requests = threading.local()

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W). Raises RunError on a full memory."""
        return on_a_fixed_tile(self._run, tiles, self.metadata.tile, self.stride)

    def _run(self, tiles: FloatArray) -> FloatArray:
        try:
            if not hasattr(self._requests, "own"):  # one request holds one thread's tiles at a time
                self._requests.own = self._compiled.create_infer_request()
            found = self._requests.own.infer([tiles])[0]
        except Exception as error:  # as above
            raise failure(RuntimeError(_told(error)), tiles, self.device, "OpenVINO") from error
        return check_density(found, tiles, self.stride, "OpenVINO")


def read_network(core: Any, path: Path, *, archived: bool) -> tuple[Metadata, Any]:
    """Return what a file says of itself, and its network. Raises UsageError as the backend does."""
    own = read_archive(path) if archived else None
    try:
        network = core.read_model(own.graph, own.weights) if own else onnx_network(path)
    except Exception as error:  # as above
        raise UsageError(f"'{path}' cannot be read by OpenVINO: {_told(error)}") from error
    text = own.metadata if own else decoded(lambda: _metadata(network), str(path))
    metadata, inputs = Metadata.from_json(text, f"'{path}'"), network.inputs
    float32 = bool(inputs) and inputs[0].get_element_type().get_type_name() == "f32"
    sides = _sides(inputs[0].get_partial_shape()) if inputs else []
    check_signature(str(path), len(inputs), len(network.outputs), sides, metadata.tile, float32=float32)
    return metadata, network


def _sides(shape: Any) -> list[int | None]:
    return [side.get_length() if side.is_static else None for side in shape] if shape.rank.is_static else []


def onnx_network(path: Path) -> Any:
    """Return the network of an ONNX file. Raises RuntimeError or Exceptions of OpenVINO's own where it is damaged.

    The core would try the readers of all frameworks on a file that is not ONNX's: only ONNX's is asked.
    """
    reader = _reader_of(openvino())
    return reader.convert(reader.load(str(path)))


@cache
def _reader_of(_package: Any) -> Any:
    return import_module("openvino.frontend").FrontEndManager().load_by_framework("onnx")


def _metadata(network: Any) -> str | None:
    """Return the metadata of an ONNX file, where OpenVINO's reader puts them."""
    place = ["framework", KEY]
    return str(network.get_rt_info(place).astype(str)) if network.has_rt_info(place) else None


def openvino() -> Any:
    """Return the package. Raises UsageError where it is not installed."""
    try:
        return import_module("openvino")
    except ImportError as error:
        raise UsageError(
            "Counting by OpenVINO takes the package 'openvino', which is not installed.", about="extra", extra=NAME
        ) from error


def openvino_core() -> Any:
    """Return OpenVINO's core, the same for the whole process. Raises UsageError where it is not installed.

    OpenVINO's CPU plugin gives the thread that loads it a stack for its signal handlers, and unmaps that stack with
    the core: after two cores, or one that another thread drops, the thread is left with a stack that is gone, and the
    next signal that it handles (Ctrl-C, the end of a child) ends the process.
    """
    return _core_of(openvino())


@cache
def _core_of(package: Any) -> Any:
    return package.Core()


def computes_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself. Raises UsageError where OpenVINO is not installed."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _settings(dtype: str) -> dict[str, Any]:
    """Return how a network is compiled: for one image at a time, in bfloat16 only where its file was compared so.

    Left to itself OpenVINO would compute each file in bfloat16 where a CPU can. Where it cannot, a file in bfloat16 is
    computed in float32. A thread is not tied to a core, where anybody else may compute.
    """
    narrow = dtype == "bfloat16" and computes_bfloat16()
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if narrow else "f32",
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_NUM_THREADS": threads(),
    }


def _told(error: Exception) -> str:
    return first_line(error, skip=_SAID_FIRST)
