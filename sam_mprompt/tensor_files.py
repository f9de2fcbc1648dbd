"""safetensors files, read and written strictly: whole, finite, every key once, equal bytes for equal tensors."""

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from .errors import RunError, UsageError, listed
from .files import write_with

_LENGTH_BYTES = 8
_HEADER_LIMIT = 100_000_000


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file into memory, on the CPU and in the dtypes that it stores.

    Raises:
        UsageError: the file cannot be read, is cut short, is not safetensors, holds a key twice, declares sizes that
            it does not have, or holds values that are not finite (each such tensor is named).
    """
    try:
        with path.open("rb") as file:
            faults = _header_faults(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            content = b"" if faults else file.read()
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}. Expected a safetensors file.") from error
    tensors: dict[str, Tensor] = {}
    if not faults:
        try:
            tensors = safetensors.torch.load(content)
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            faults = [f"its header contradicts its content ({error})"]
    if unusable := _not_finite(tensors):
        faults.append(f"values that are not finite in {listed(unusable)}")
    if faults:
        raise UsageError(
            f"'{path}' cannot be used, expected an intact safetensors file: {'; '.join(faults)}. Get it again."
        )
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> None:
    """Write tensors as one safetensors file; equal tensors make equal bytes, whatever their order and device.

    Args:
        path: the file, replaced atomically.
        tensors: what to store; views and shared memory are fine, each key gets its own copy.
        dtype: what floating-point tensors are stored as, by default what they are.

    Raises:
        RunError: values that are not finite, or a disk that cannot take the file.
        UsageError: finite values that `dtype` is too narrow for.
    """
    if broken := _not_finite(tensors):
        raise RunError(
            f"Not writing '{path}': values that are not finite in {listed(broken)}. The training diverged: "
            "resume from an earlier state with a lower train.lr"
        )
    stored = {
        name: tensor.detach().to("cpu", (dtype if tensor.is_floating_point() else None) or tensor.dtype, copy=True)
        for name, tensor in sorted(tensors.items())
    }
    if overflowing := _not_finite(stored):
        raise UsageError(
            f"{dtype} cannot hold the values of {listed(overflowing)}; expected a dtype that can: bfloat16 or float32"
        )
    # Not save_file: it creates files that only their owner can read.
    contiguous = {name: tensor.contiguous() for name, tensor in stored.items()}
    content = safetensors.torch.save(contiguous, metadata={"format": "pt"})
    write_with(path, lambda temporary: temporary.write_bytes(content))


def check_against(
    expected: Mapping[str, Sequence[int]], got: Mapping[str, Tensor], source: str = "the given tensors"
) -> None:
    """Check that `got` has exactly the expected keys and shapes.

    Raises:
        UsageError: naming every missing, unexpected and reshaped key (of long lists the first eight).
    """
    reshaped = [
        f"{name} is {tuple(got[name].shape)} instead of {tuple(shape)}"
        for name, shape in sorted(expected.items())
        if name in got and tuple(got[name].shape) != tuple(shape)
    ]
    found = {"missing": expected.keys() - got.keys(), "unexpected": got.keys() - expected.keys(), "reshaped": reshaped}
    faults = [f"{len(names)} {kind}: {listed(names)}" for kind, names in found.items() if names]
    if faults:
        raise UsageError(
            f"The keys of {source} are not those of the model: {'; '.join(faults)}. "
            "Load it onto the base and with the configuration that it was trained with."
        )


def _header_faults(file: BinaryIO, size: int) -> list[str]:
    """Return what is wrong with the header of a safetensors file of `size` bytes, before anything large is read."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _HEADER_LIMIT):
        return [f"it has {size} bytes and a header that would need {length}"]
    repeated: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        header = json.loads(file.read(length), object_pairs_hook=unique)
        ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        held = size - _LENGTH_BYTES - length
        faults = [] if max(ends, default=0) == held else [f"it declares {max(ends, default=0)} bytes and holds {held}"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return ["its header is not the JSON of a safetensors file"]
    return faults + ([f"keys that occur more than once: {listed(repeated)}"] if repeated else [])


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
