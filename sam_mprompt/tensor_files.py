"""safetensors files, read and written strictly: whole, finite, every key once, equal bytes for equal tensors."""

import hashlib
import json
import math
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from .errors import RunError, UsageError, listed
from .files import write_with

_LENGTH_BYTES = 8
_HEADER_LIMIT = 16_000_000
"""Bytes; a header has about 100 a tensor. As Python objects it takes some twenty times as much memory."""
_DIMENSIONS_LIMIT = 64
_METADATA = "__metadata__"
_DTYPES = {
    "BOOL": torch.bool, "U8": torch.uint8, "I8": torch.int8, "I16": torch.int16, "I32": torch.int32,
    "I64": torch.int64, "F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64,
}  # fmt: skip


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of a safetensors file, from its header alone.

    What a file of strangers claims is compared by this before its contents are read or anything is built for them.

    Raises:
        UsageError: as `read_tensors`, but for what only the contents tell.
    """
    with _reading(path) as file:
        header, faults = _header(file, os.fstat(file.fileno()).st_size)
    _refuse(path, faults)
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def read_tensors(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Read a safetensors file into memory, on the CPU and in the dtypes that it stores.

    Args:
        path: the file.
        sha256: what `write_tensors` returned for it, where that was kept: what has changed since is refused.

    Raises:
        UsageError: the file cannot be read, is cut short, is not safetensors, holds a key twice, declares sizes or
            shapes that it does not have, was changed, or holds values that are not finite (each tensor is named).
    """
    with _reading(path) as file:
        _, faults = _header(file, os.fstat(file.fileno()).st_size)
        file.seek(0)
        content = b"" if faults else file.read()
    tensors: dict[str, Tensor] = {}
    if not faults and sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        faults = ["it was changed after it was written (its SHA-256 differs)"]
    if not faults:
        try:
            tensors = safetensors.torch.load(content)
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError, OverflowError) as error:
            faults = [f"its header contradicts its content ({error})"]
    if unusable := _not_finite(tensors):
        faults.append(f"values that are not finite in {listed(unusable)}")
    _refuse(path, faults)
    return tensors


def write_tensors(path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> str:
    """Write tensors as one safetensors file; equal tensors make equal bytes, whatever their order and device.

    Args:
        path: the file, replaced atomically.
        tensors: what to store; views and shared memory are fine, each key gets its own copy.
        dtype: what floating-point tensors are stored as, by default what they are.

    Returns:
        The SHA-256 of the file's bytes, in lower-case hexadecimal, for `read_tensors`.

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
    return hashlib.sha256(content).hexdigest()


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


def check_tensors(expected: Mapping[str, Tensor], got: Mapping[str, Tensor], source: str = "the given tensors") -> None:
    """Check that `got` has exactly the keys, shapes and kinds of numbers of `expected`.

    Raises:
        UsageError: as `check_against`, or integers where floating point is expected or the reverse.
    """
    check_against({name: tensor.shape for name, tensor in expected.items()}, got, source)
    mixed_up = [
        f"{name} is {got[name].dtype} instead of {tensor.dtype}"
        for name, tensor in sorted(expected.items())
        if got[name].is_floating_point() != tensor.is_floating_point()
    ]
    if mixed_up:
        raise UsageError(f"{source} cannot be loaded, integers and floating point differ: {listed(mixed_up)}")


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    try:
        if not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():  # opening one may wait for ever
            raise UsageError(f"Cannot read '{path}': expected a safetensors file, got a device or a pipe.")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"Cannot read '{path}': {error.strerror}. Expected a safetensors file.") from error


def _refuse(path: Path, faults: Sequence[str]) -> None:
    if faults:
        raise UsageError(
            f"'{path}' cannot be used, expected an intact safetensors file: {'; '.join(faults)}. Get it again."
        )


def _header(file: BinaryIO, size: int) -> tuple[dict[str, Any], list[str]]:
    """Return the tensors' entries in the header of a safetensors file of `size` bytes, and what is wrong with it.

    Nothing large is read: the header's length, its shapes and the bytes that it declares are compared first.
    """
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if size < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, _HEADER_LIMIT):
        return {}, [f"it has {size} bytes and a header that would need {length}"]
    repeated: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        repeated.extend(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        return dict(pairs)

    try:
        header = json.loads(file.read(length), object_pairs_hook=unique)
        entries = {key: entry for key, entry in header.items() if key != _METADATA}
        end = max((entry["data_offsets"][1] for entry in entries.values()), default=0)
        held = size - _LENGTH_BYTES - length
        faults = [] if end == held else [f"it declares {end} bytes and holds {held}"]
        if wrong := [key for key, entry in entries.items() if not _sizes_agree(entry)]:
            faults.append(f"types, shapes and sizes that contradict each other in {listed(wrong)}")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}, ["its header is not the JSON of a safetensors file"]
    return entries, faults + ([f"keys that occur more than once: {listed(repeated)}"] if repeated else [])


def _sizes_agree(entry: Mapping[str, Any]) -> bool:
    """Whether an entry's dtype is one of ours, and its shape takes the bytes that it has."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    if entry["dtype"] not in _DTYPES or len(shape) > _DIMENSIONS_LIMIT:
        return False
    if not all(type(number) is int and 0 <= number < 2**63 for number in [*shape, begin, end]):
        return False
    return math.prod(shape) * _DTYPES[entry["dtype"]].itemsize == end - begin


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
