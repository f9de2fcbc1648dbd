"""An ONNX file as counting wants it, run by ONNX Runtime. Free of torch."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ..arrays import FloatArray
from ..errors import UsageError
from ..files import is_file
from .fixed_tile import on_a_fixed_tile
from .metadata import KEY, Metadata
from .running import check_density, check_signature, decoded, failure, first_line, threads

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxBackend:
    """A network in an ONNX file of `export`.

    Args:
        path: the file.
        device: "cpu", "cuda", "cuda:1" or the like; None is the GPU when this ONNX Runtime has one.

    Attributes:
        metadata: what the file says of itself.
        device: where it runs.

    Raises:
        UsageError: no such file, one that is damaged or that `export` did not write, no such device, or ONNX Runtime
            is not installed.
    """

    def __init__(self, path: Path, device: str | None = None) -> None:
        runtime = _runtime()
        provider, options, self.device = _provider(device, runtime.get_available_providers())
        settings = runtime.SessionOptions()
        settings.log_severity_level = 3
        # Threads that spin while they wait for each other lose by it where anybody else computes (as cli.app.main).
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.intra_op_num_threads = threads()
        if not is_file(path):
            raise UsageError(f"No file '{path}'.")
        try:
            self._session = runtime.InferenceSession(str(path), settings, providers=[(provider, options)])
        except Exception as error:  # ONNX Runtime has a dozen classes of its own
            raise UsageError(f"'{path}' cannot be read as ONNX: {first_line(error)}") from error
        text = decoded(lambda: self._session.get_modelmeta().custom_metadata_map.get(KEY), str(path))
        self.metadata = Metadata.from_json(text, f"'{path}'")
        own = self.metadata
        self._input = _only_input(self._session, path, own.tile)
        self.stride, self.size_divisor, self.mean, self.std = own.stride, own.size_divisor, own.mean, own.std

    def density(self, tiles: FloatArray) -> FloatArray:
        """Return heads per cell (B, h, w) of normalised tiles (B, 3, H, W). Raises RunError on a full memory."""
        return on_a_fixed_tile(self._run, tiles, self.metadata.tile, self.stride)

    def _run(self, tiles: FloatArray) -> FloatArray:
        try:
            found: Sequence[FloatArray] = self._session.run(None, {self._input: tiles})
        except Exception as error:  # as above
            raise failure(error, tiles, self.device, "ONNX Runtime") from error
        return check_density(found[0], tiles, self.stride, "ONNX Runtime")


def _only_input(session: Any, path: Path, tile: int | None) -> str:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    try:
        sides = [side if isinstance(side, int) else None for side in inputs[0].shape] if inputs else []
        name = str(inputs[0].name) if inputs else ""
    except UnicodeDecodeError as error:
        raise UsageError(f"'{path}' is damaged: names of its input are no text. Export it again.") from error
    float32 = bool(inputs) and inputs[0].type == "tensor(float)"
    check_signature(str(path), len(inputs), len(outputs), sides, tile, float32=float32)
    return name


def _runtime() -> Any:
    try:
        return import_module("onnxruntime")
    except ImportError as error:
        raise UsageError(
            "Exported files take the package 'onnxruntime', which is not installed.", about="extra", extra="onnx"
        ) from error


def _provider(device: str | int | None, there: Sequence[str]) -> tuple[str, dict[str, str], str]:
    """Return ONNX Runtime's name of a device, its options, and the device's name."""
    known = [name for name, provider in PROVIDERS.items() if provider in there]
    name = "cuda" if device is None and "cuda" in known else str(device if device is not None else "cpu").lower()
    name = f"cuda:{name}" if name.isdecimal() else name.replace("gpu", "cuda")
    kind, _, number = name.partition(":")
    if kind not in known or (number and not number.isdecimal()):
        raise UsageError(f"Device '{device}' is not available to this ONNX Runtime. Available: {', '.join(known)}.")
    return PROVIDERS[kind], {"device_id": number} if number else {}, name
