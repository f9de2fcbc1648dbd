"""`load`: an adapter's folder on its base, or an exported file, ready to count. Torch comes with a folder only."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..counting.any_counter import AnyCounter, Ready
from ..counting.ensemble import Ensemble
from ..counting.scales import ONCE, checked_scales
from ..data.bounds import Reading
from ..errors import UsageError
from ..files import is_file, is_folder
from .exported import ExportedCounter, FileBackend

if TYPE_CHECKING:
    import torch

    from ..counting.torch_backend import Precision

SUFFIXES = (".onnx", ".openvino", ".pt2")
"""How exported files end."""


def is_exported(adapter: str | Path) -> bool:
    """Whether a name is that of an exported file, which need not be there."""
    return isinstance(adapter, str | PathLike) and Path(adapter).suffix in SUFFIXES and not is_folder(Path(adapter))


def load(
    adapter: str | Path | Sequence[str | Path],
    *,
    device: "str | int | torch.device | None" = None,
    base: str | None = None,
    precision: "Precision" = "no",
    compile: bool = False,
    max_pixels: int | None = None,
    stretch: bool | None = None,
    flip: bool = False,
    scales: Iterable[float] = ONCE,
) -> AnyCounter:
    """Load an adapter folder onto its base, or an exported file, ready to count; several count together.

    Args:
        adapter: an adapter folder, a run folder, the name of one that `sam-mprompt adapters list` shows, or a file of
            `sam-mprompt export --format onnx` or `openvino`, which count without torch, or `--format pt2`. Of a list
            the mean density counts: all see each image, in the time of all.
        device: "cpu", "cuda", "cuda:1" or 1, "mps"; by default the GPU when there is one. "openvino" lets OpenVINO
            run an ONNX file, on the CPU.
        base: checkpoint name or file when the base is not found under its recorded name.
        precision: mixed precision on a GPU; a CPU always counts in float32.
        compile: translate the encoder by `torch.compile` at the first image. Every other size of a tile is translated
            anew: worth it for many images that fill their tiles.
        max_pixels: the most pixels that are decoded of an image file; None for 2**28, and for 2**30 of a file that is
            large enough to be a photograph of that size. A JPEG above it is decoded to a smaller copy where it is
            shrunk at least as much anyway; other images above it are refused.
        stretch: whether 16-bit images are scaled from the bits that they use; None for what each adapter was trained
            with (its recipe's data.stretch).
        flip: whether the mean density of each image and its mirror image counts, in twice the time.
        scales: 1 to 8 factors from 0.25 to 4 of the size that images are brought to; the mean density of all counts, in
            the time that their pixels take.

    Returns:
        A `Counter` of a folder, an `ExportedCounter` of a file, an `Ensemble` of a list.

    Raises:
        UsageError: no such adapter, device or precision, damaged files, another base than it was trained on, scales
            out of range, an option that an exported file does not take, or a list of adapters that see images
            differently.
    """
    Reading(max_pixels=max_pixels)  # refused before anything is loaded
    reading: dict[str, Any] = {"max_pixels": max_pixels, "stretch": stretch, "flip": flip}
    reading |= {"scales": checked_scales(scales)}
    if isinstance(adapter, Sequence) and not isinstance(adapter, str):
        one = partial(load, device=device, base=base, precision=precision, compile=compile)
        return Ensemble(_parts(adapter, one), **reading)
    if is_exported(adapter):
        fixed = {"base": base, "precision": precision != "no", "compile": compile}
        if given := [name for name, value in fixed.items() if value]:
            raise UsageError(f"'{adapter}' is an exported file, whose network is fixed: expected no {given[0]}.")
        path = Path(adapter)
        if not is_file(path):
            raise UsageError(f"No file '{path}': expected one that was exported.", about="exported")
        backend = backend_of(path, path.suffix, None if device is None else str(device))
        return ExportedCounter(path, backend, **reading)
    from ..counting.counter import load as load_folder

    return load_folder(adapter, device=device, base=base, precision=precision, compile=compile, **reading)


def _parts(adapters: Sequence[str | Path], load_one: Callable[[str | Path], AnyCounter]) -> list[tuple[Path, Ready]]:
    """Return the network of each adapter; those that fit on the first one's base share it."""
    if not adapters:
        raise UsageError("Expected at least one adapter to count with, got none.")
    first = load_one(adapters[0])
    names = [first.active]
    counters = [first]
    for number, adapter in enumerate(adapters[1:], start=2):
        try:
            first.load_adapter(adapter, name=f"number{number}")
        except UsageError:  # another base: it is loaded with its own, where it can be
            counters.append(load_one(adapter))
            names.append(counters[-1].active)
        else:
            counters.append(first)
            names.append(f"number{number}")
    return [(counter.adapters[name], counter.ready(name)) for counter, name in zip(counters, names, strict=True)]


def backend_of(path: Path, suffix: str, device: str | None) -> FileBackend:
    """Return what runs a file of a suffix: ONNX Runtime an ONNX file, and OpenVINO where asked for or alone there.

    Raises:
        UsageError: as `OnnxBackend`, `OpenVinoBackend` and `Pt2Backend`.
    """
    if suffix == ".pt2":
        from .pt2_files import Pt2Backend

        return Pt2Backend(path, device)
    alone = device in (None, "cpu") and find_spec("onnxruntime") is None and find_spec("openvino") is not None
    if suffix == ".openvino" or device == "openvino" or alone:
        from .openvino_backend import OpenVinoBackend

        return OpenVinoBackend(path, device, archived=suffix == ".openvino")
    from .onnx_backend import OnnxBackend

    return OnnxBackend(path, device)
