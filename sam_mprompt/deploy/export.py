"""`export`: an adapter and its base become one file that counts anywhere, compared with PyTorch before it stands."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from torch.export import ExportedProgram

from ..adapter.contents import TENSORS
from ..adapter.folder import AdapterFolder
from ..adapter.loading import load_adapter
from ..counting.counter import calibration_of, scope_of, trained_on_of
from ..counting.intervals import Calibration
from ..counting.result import ImageLike
from ..data.bounds import Reading
from ..errors import UsageError
from ..files import recover, replacing
from ..models.counter import CrowdCounter
from ..version import __version__
from .capture import capture, largest_side, merged
from .load import backend_of
from .metadata import DTYPES, Metadata
from .narrow import in_float16
from .onnx_files import needed, onnx_model, write_onnx
from .openvino_backend import computes_bfloat16
from .openvino_files import openvino_network, write_openvino
from .parity import Parity, check, compare, scenes
from .pt2_files import write_pt2
from .quantise import in_int8

KINDS = ("onnx", "openvino", "pt2")

Progress = Callable[[str, int, int], None]
"""Called with what is done, how far, and of how much."""


@dataclass(frozen=True)
class Exported:
    """What came out.

    Attributes:
        path: the file.
        metadata: what it says of itself.
        parity: how its counts compare with PyTorch's.
    """

    path: Path
    metadata: Metadata
    parity: Parity


def export(
    folder: AdapterFolder,
    to: Path,
    *,
    kind: str = "onnx",
    dtype: str = "float32",
    tile: int | None = None,
    base: str | None = None,
    images: Sequence[ImageLike] = (),
    progress: Progress | None = None,
) -> Exported:
    """Write an adapter with its base as one file; the segmenter is in no part of it.

    Args:
        folder: the adapter, as read.
        to: the file to write; one that stands there is replaced, once the new one has been compared.
        kind: "onnx"; "openvino", which OpenVINO alone runs; or "pt2", PyTorch's own, which is float32.
        dtype: what the network computes in: "float32"; "float16", with normalisation and attention's softmax in
            float32 (OpenVINO's kind only keeps weights so); "bfloat16", of OpenVINO's kind, on CPUs that have it;
            "int8".
        tile: side of the one size of tile that the network takes, for devices that want fixed shapes. By default the
            sides are free, and images of every size are counted as PyTorch counts them.
        base: checkpoint name or file when the base is not found under its recorded name.
        images: paths or pixels to compare with, and for int8 to calibrate with; procedural crowds by default.
        progress: told of each step.

    Raises:
        UsageError: damaged files, another base, a tile that the network does not take, a network that cannot be
            captured, a missing package, an image that cannot be read.
        RunError: the file's counts are off, or the disk is full; nothing is written then.
    """
    check_kind(kind, dtype)
    told = progress or (lambda _step, _done, _all: None)
    built = load_adapter(folder, base)
    check_tile(built.counter, tile, folder.geometry.tile)
    chosen = list(images) or list(scenes())
    seen, compared = (chosen[::2], chosen[1::2]) if dtype == "int8" and len(chosen) > 1 else (chosen, chosen)
    reading = Reading(stretch=folder.recipe.data.stretch)
    metadata = metadata_of(folder, built.counter, dtype, tile)
    told("translating", 0, 1)
    program = capture(merged(built.counter), tile)
    write = _writer(kind, program, metadata, seen, reading)
    recover(to)
    with replacing(to) as temporary:
        write(metadata, temporary)
        parity = compare(
            built.counter,
            backend_of(temporary, f".{kind}", "cpu"),
            compared,
            metadata.geometry,
            tile=tile,
            own=folder.geometry,
            reading=reading,
            progress=partial(told, "comparing"),
        )
        check(parity, dtype, f"The {dtype} file")
        metadata = replace(metadata, parity=parity.as_dict())
        write(metadata, temporary)
    return Exported(to, metadata, parity)


def _writer(
    kind: str, program: ExportedProgram, metadata: Metadata, seen: Sequence[ImageLike], reading: Reading
) -> Callable[[Metadata, Path], None]:
    """Return what writes a captured counter with its metadata, again and again."""
    if kind == "pt2":
        return partial(write_pt2, program)
    if kind == "onnx":
        return partial(write_onnx, _narrowed(onnx_model(program), metadata, seen, reading))
    half = metadata.dtype in ("float16", "bfloat16")
    model = onnx_model(program) if half else _narrowed(onnx_model(program), metadata, seen, reading)
    return partial(write_openvino, openvino_network(model, half=half))


def _narrowed(model: Any, metadata: Metadata, seen: Sequence[ImageLike], reading: Reading) -> Any:
    """Return a model in the dtype that its metadata name."""
    if metadata.dtype == "float16":
        return in_float16(model)
    if metadata.dtype == "int8":
        return in_int8(model, metadata, seen, reading)
    return model


def metadata_of(folder: AdapterFolder, counter: CrowdCounter, dtype: str, tile: int | None) -> Metadata:
    """Return what a file says of an adapter."""
    info, known = folder.info, calibration_of(folder)
    if not known.images:  # the reason names a folder that a file knows nothing of
        known = Calibration(missing=f"the adapter that it was exported from has no calibration: {folder.uncalibrated}")
    geometry = folder.geometry
    if tile is not None:
        geometry = replace(geometry, tile=tile, overlap=min(geometry.overlap, tile // 2), tile_step=0)
    return Metadata(
        name=folder.recipe.name,
        method=folder.recipe.tuning.method,
        base=Path(info.base).name,
        base_fingerprint=info.base_fingerprint,
        adapter_fingerprint=f"sha256:{info.sha256[TENSORS]}",
        dtype=dtype,
        stride=counter.stride,
        size_divisor=counter.size_divisor,
        mean=info.mean,
        std=info.std,
        geometry=geometry,
        tile=tile,
        calibration=known,
        scope=scope_of(folder),
        trained_on=trained_on_of(folder.recipe),
        written_by=__version__,
    )


def check_kind(kind: str, dtype: str) -> None:
    """Raise UsageError for a kind of file that is none, or that there is not in a dtype or on this machine."""
    if dtype not in DTYPES:
        raise UsageError(f"dtype: expected one of {', '.join(DTYPES)}, got '{dtype}'.")
    if kind not in KINDS or (kind == "pt2" and dtype != "float32") or (kind == "onnx" and dtype == "bfloat16"):
        raise UsageError(
            "Expected an ONNX file (not in bfloat16), one of OpenVINO's, or a pt2 file in float32, "
            f"got '{kind}' in {dtype}."
        )
    if kind == "openvino":
        needed("openvino", extra="openvino")
    if dtype == "bfloat16" and not computes_bfloat16():
        raise UsageError(
            "A file in bfloat16 is compared with PyTorch before it stands: expected a CPU that computes in it, or "
            "another dtype."
        )


def check_tile(counter: CrowdCounter, tile: int | None, own: int) -> None:
    """Raise UsageError for a tile that a network does not take, given or, where sides are free, the adapter's own."""
    divisor = counter.size_divisor
    if tile is not None and (tile < divisor or tile % divisor):
        raise UsageError(f"tile: expected a multiple of {divisor}, which this network's sides are, got {tile}.")
    if tile is None and own > (most := largest_side(counter)):
        raise UsageError(
            f"This network's positions end at {most} px, and its tiles are of {own} px: expected a fixed tile.",
            about="capture",
        )
