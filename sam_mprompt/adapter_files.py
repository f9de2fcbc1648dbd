"""The two files that peft and this project share, read and written strictly.

`adapter_model.safetensors`: whole, finite, every key exactly once, the same bytes for the same tensors.
`adapter_config.json`: the adapter's configuration, as peft lays it out, naming no hub repository.
"""

import dataclasses
import enum
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import peft
import safetensors.torch
import torch
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor, nn

from .errors import RequestError, WorkError, did_you_mean, listed
from .files import write_with
from .tuning.attach import adapter_config

_LENGTH_BYTES = 8
_HEADER_LIMIT = 100_000_000
_OF_THE_HUB = {"auto_mapping": None, "base_model_name_or_path": None, "revision": None}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file into memory, on the CPU and in the dtypes that it stores.

    Raises:
        RequestError: the file cannot be read, is cut short, is not safetensors, holds a key twice, declares sizes that
            it does not have, or holds values that are not finite (each such tensor is named).
    """
    try:
        with path.open("rb") as file:
            faults = _header_faults(file, os.fstat(file.fileno()).st_size)
            file.seek(0)
            content = b"" if faults else file.read()
    except OSError as error:
        raise RequestError(f"Cannot read '{path}': {error.strerror}. Expected a safetensors file.") from error
    tensors: dict[str, Tensor] = {}
    if not faults:
        try:
            tensors = safetensors.torch.load(content)
        except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
            faults = [f"its header contradicts its content ({error})"]
    if unusable := _not_finite(tensors):
        faults.append(f"values that are not finite in {listed(unusable)}")
    if faults:
        raise RequestError(
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
        WorkError: values that are not finite, or a disk that cannot take the file.
        RequestError: finite values that `dtype` is too narrow for.
    """
    if broken := _not_finite(tensors):
        raise WorkError(
            f"Not writing '{path}': values that are not finite in {listed(broken)}. The training diverged: "
            "resume from an earlier state with a lower train.lr"
        )
    stored = {
        name: tensor.detach().to("cpu", (dtype if tensor.is_floating_point() else None) or tensor.dtype, copy=True)
        for name, tensor in sorted(tensors.items())
    }
    if overflowing := _not_finite(stored):
        raise RequestError(
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
        RequestError: naming every missing, unexpected and reshaped key (of long lists the first eight).
    """
    reshaped = [
        f"{name} is {tuple(got[name].shape)} instead of {tuple(shape)}"
        for name, shape in sorted(expected.items())
        if name in got and tuple(got[name].shape) != tuple(shape)
    ]
    found = {"missing": expected.keys() - got.keys(), "unexpected": got.keys() - expected.keys(), "reshaped": reshaped}
    faults = [f"{len(names)} {kind}: {listed(names)}" for kind, names in found.items() if names]
    if faults:
        raise RequestError(
            f"The keys of {source} are not those of the model: {'; '.join(faults)}. "
            "Load it onto the base and with the configuration that it was trained with."
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in lower-case hexadecimal. Raises RequestError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RequestError(f"Cannot read '{path}': {error.strerror}. Expected a file.") from error


def adapter_state(encoder: nn.Module, adapter_name: str = "default") -> dict[str, Tensor]:
    """Return one adapter's tensors under peft's on-disk keys (`base_model.model.blocks.0.attn.mprompt_down.weight`).

    Every key starts with `base_model.`; the tensors are the live ones, detached.

    Raises:
        RequestError: the encoder carries no adapter of that name.
    """
    adapter_config(encoder, adapter_name)
    state: dict[str, Tensor] = peft.get_peft_model_state_dict(
        encoder, adapter_name=adapter_name, save_embedding_layers=False
    )
    return state


def load_adapter_state(
    encoder: nn.Module, tensors: Mapping[str, Tensor], adapter_name: str = "default", source: str = "the given tensors"
) -> None:
    """Fill one adapter, all of it or nothing, from tensors as `adapter_state` returns them; dtypes follow the adapter.

    Raises:
        RequestError: there is no such adapter, or keys, shapes or kinds of numbers differ; nothing was changed then.
    """
    expected = adapter_state(encoder, adapter_name)
    check_against({name: tensor.shape for name, tensor in expected.items()}, tensors, source)
    mixed_up = [
        f"{name} is {tensors[name].dtype} instead of {tensor.dtype}"
        for name, tensor in sorted(expected.items())
        if tensors[name].is_floating_point() != tensor.is_floating_point()
    ]
    if mixed_up:
        raise RequestError(f"{source} cannot be loaded, integers and floating point differ: {listed(mixed_up)}")
    peft.set_peft_model_state_dict(encoder, dict(tensors), adapter_name=adapter_name)


def adapter_config_dict(encoder: nn.Module, adapter_name: str = "default") -> dict[str, Any]:
    """Return what `adapter_config.json` says about one adapter: plain JSON values, set to inference, naming no hub.

    Raises:
        RequestError: the encoder carries no adapter of that name.
    """
    values = adapter_config(encoder, adapter_name).to_dict()
    return {key: _plain(value) for key, value in sorted({**values, **_OF_THE_HUB, "inference_mode": True}.items())}


def config_from_dict(values: Mapping[str, Any]) -> peft.PeftConfig:
    """Return the peft configuration that an `adapter_config.json` describes, whatever hub repository it may name.

    Raises:
        RequestError: an unknown peft type, a key that the type does not have, or a value that it does not take.
    """
    keys = _keys_by_type()
    peft_type = str(values.get("peft_type"))
    if peft_type not in keys:
        raise RequestError(
            f"adapter_config.json: expected a peft_type that peft {peft.__version__} puts into encoders, got "
            f"'{peft_type}'.{did_you_mean(peft_type, keys)}"
        )
    known = keys[peft_type]
    if unknown := values.keys() - known:
        raise RequestError(
            f"adapter_config.json: {peft_type} has no {listed(unknown)}."
            f"{did_you_mean(min(unknown), known)} It may have been written for another version of peft."
        )
    try:
        config = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type](**{**values, **_OF_THE_HUB})
        if isinstance(config.target_modules, str):
            re.compile(config.target_modules)
    except (TypeError, ValueError, AttributeError, re.error) as error:
        raise RequestError(f"adapter_config.json: {peft_type} does not take these values: {error}") from error
    return config


def _keys_by_type() -> dict[str, set[str]]:
    """Return the configuration's keys by peft type, for the types that work inside an encoder's layers."""
    fields = {_plain(kind): dataclasses.fields(config) for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    keys = {kind: {entry.name for entry in entries} for kind, entries in fields.items()}
    return {kind: names for kind, names in keys.items() if "target_modules" in names}


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


def _plain(value: Any) -> Any:
    """Return a configuration value as JSON has it: sets sorted, enumerations by value."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
