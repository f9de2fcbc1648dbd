"""Adapter folders: what export writes and load reads; whole or absent, checked before anything is used."""

import json
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ..data.sources import geometry_of
from ..errors import UsageError
from ..files import replacing, sha256_of
from ..geometry import Geometry
from ..models.build import Base, BuiltCounter, add_decoders, build_encoder
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe, parse_recipe
from ..tensor_files import check_against, read_tensors, write_tensors
from ..tuning.attach import add_adapter
from ..tuning.methods import BARE
from ..version import __version__
from .model_card import model_card
from .peft_layout import adapter_config_dict, adapter_state, config_from_dict, load_adapter_state

CONFIG, TENSORS, COUNTER = "adapter_config.json", "adapter_model.safetensors", "counter.json"
RECIPE, METRICS, CARD = "recipe.toml", "metrics.json", "README.md"
FORMAT_VERSION = 1
_OF_PEFT = "base_model."
_HEADS = "counter."

Dtype = Literal["float32", "float16"]


class CounterFile(BaseModel):
    """`counter.json`: on what and how the adapter counts, and what its files must be.

    Attributes:
        format_version: of this layout; readers refuse versions they don't know.
        written_by: the version of sam-mprompt that wrote it.
        native: True when the folder holds the whole model, because its encoder was trained too.
        base: name of the base checkpoint.
        base_fingerprint: SHA-256 of the base encoder's tensors.
        dtype: how the adapter's tensors are stored; the heads stay float32.
        stride, size_divisor: pixels per density cell, and what image sides are padded to.
        mean, std: RGB normalisation of images in [0, 1].
        geometry: how images are resized and tiled.
        sha256: of the files beside this one, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format_version: int
    written_by: str
    native: bool
    base: str
    base_fingerprint: str
    dtype: Dtype
    stride: int
    size_divisor: int = Field(validation_alias=AliasChoices("size_divisor", "multiple"))
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    geometry: dict[str, int | float]
    sha256: dict[str, str]


@dataclass(frozen=True)
class AdapterFolder:
    """A folder that was read and checked, not yet put on a base.

    Attributes:
        path: the folder.
        info: its counter.json.
        recipe: what it was trained with.
        config: its adapter_config.json; None for a native counter or one whose encoder has no adapter.
        tensors: on the CPU, as stored.
        metrics: validation figures, as finetune wrote them.
    """

    path: Path
    info: CounterFile
    recipe: Recipe
    config: dict[str, Any] | None
    tensors: dict[str, Tensor]
    metrics: dict[str, Any]

    @property
    def geometry(self) -> Geometry:
        """How images are resized and tiled."""
        return geometry_of(self.recipe)


def write_adapter(
    folder: Path, built: BuiltCounter, recipe: Recipe, *, metrics: dict[str, Any], dtype: Dtype = "float32"
) -> None:
    """Write a counter's adapter folder in place of what stood there; never the base, never the segmenter.

    Raises:
        RunError: values that are not finite, or a full disk; an older folder is kept then.
    """
    counter = built.counter
    tensors = {_HEADS + name: tensor for name, tensor in counter.decoder_state().items()}
    config: dict[str, Any] | None = None
    native = recipe.tuning.method == "full"
    if native:
        tensors |= {f"{_HEADS}encoder.{name}": tensor for name, tensor in counter.encoder.state_dict().items()}
    elif recipe.tuning.method not in BARE:
        config = adapter_config_dict(counter.encoder)
        tensors |= adapter_state(counter.encoder)
    encoder: Any = counter.encoder
    info = CounterFile(
        format_version=FORMAT_VERSION,
        written_by=__version__,
        native=native,
        base=built.base.name,
        base_fingerprint=built.base.fingerprint,
        dtype=dtype,
        stride=counter.stride,
        size_divisor=counter.size_divisor,
        mean=tuple(encoder.mean),
        std=tuple(encoder.std),
        geometry=vars(geometry_of(recipe)),
        sha256={},
    )
    _write(AdapterFolder(folder, info, recipe, config, tensors, metrics))


def export_adapter(adapter: AdapterFolder, folder: Path, *, dtype: Dtype) -> AdapterFolder:
    """Write a copy of an adapter with its prompt modules stored as `dtype`, and return it as read back.

    One without prompt modules (a native model, a side network) stays float32, and its record says so.

    Raises:
        UsageError: `folder` holds something already.
        RunError: a full disk.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"'{folder}' is not empty: expected a new folder to export to. Give another one with --to.")
    narrows = any(name.startswith(_OF_PEFT) for name in adapter.tensors)
    info = adapter.info.model_copy(
        update={"dtype": dtype if narrows else adapter.info.dtype, "written_by": __version__}
    )
    _write(replace(adapter, path=folder, info=info))
    return read_adapter(folder)


def _write(adapter: AdapterFolder) -> None:
    stored = {name: _narrowed(name, tensor, adapter.info.dtype) for name, tensor in adapter.tensors.items()}
    with replacing(adapter.path) as temporary:
        temporary.mkdir(parents=True)
        write_tensors(temporary / TENSORS, stored)
        if adapter.config is not None:
            _write_json(temporary / CONFIG, adapter.config)
        (temporary / RECIPE).write_text(adapter.recipe.to_toml(), encoding="utf-8")
        _write_json(temporary / METRICS, adapter.metrics)
        sha256 = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
        info = adapter.info.model_copy(update={"sha256": sha256})
        _write_json(temporary / COUNTER, info.model_dump(mode="json"))
        card = model_card(info, adapter.recipe, adapter.metrics)
        (temporary / CARD).write_text(card, encoding="utf-8")


def _narrowed(name: str, tensor: Tensor, dtype: Dtype) -> Tensor:
    """Store prompt modules as `dtype`. The heads stay float32: they are few, and batch norm needs the range."""
    if not (name.startswith(_OF_PEFT) and tensor.is_floating_point()):
        return tensor
    narrow = tensor.to(getattr(torch, dtype))
    if tensor.isfinite().all() and not narrow.isfinite().all():
        raise UsageError(f"{name} has values beyond the range of {dtype}. Export it as float32.")
    return narrow


def read_adapter(folder: Path) -> AdapterFolder:
    """Read and check a folder without a base.

    Raises:
        UsageError: a file is missing, was changed or cut short, holds NaN or a key twice, or is of another version.
    """
    info = read_info(folder)
    files = {RECIPE, METRICS, TENSORS} | ({CONFIG} & info.sha256.keys())
    if missing := sorted(name for name in files | info.sha256.keys() if not (folder / name).is_file()):
        raise UsageError(f"Adapter '{folder}' is not complete: {', '.join(missing)} missing. Copy the folder again.")
    tensors = read_tensors(folder / TENSORS)
    changed = sorted(name for name, digest in info.sha256.items() if sha256_of(folder / name) != digest)
    if changed or not files <= info.sha256.keys():
        raise UsageError(
            f"Adapter '{folder}' was changed after it was written: {', '.join(changed) or 'a checksum is missing'} "
            f"(SHA-256 differs from {COUNTER}). Copy the folder again, or export it again."
        )
    recipe = parse_recipe(tomllib.loads((folder / RECIPE).read_text(encoding="utf-8")), source=str(folder / RECIPE))
    config = _read_json(folder / CONFIG) if CONFIG in files else None
    return AdapterFolder(folder, info, recipe, config, tensors, _read_json(folder / METRICS))


def describe(adapter: AdapterFolder) -> dict[str, Any]:
    """Return JSON-ready facts about an adapter for a user to read."""
    prompts = sum(tensor.numel() for name, tensor in adapter.tensors.items() if name.startswith(_OF_PEFT))
    total = sum(tensor.numel() for tensor in adapter.tensors.values())
    info = adapter.info.model_dump(mode="json", exclude={"sha256"})
    return {
        "path": str(adapter.path),
        "bytes": sum(file.stat().st_size for file in adapter.path.iterdir()),
        "recipe": adapter.recipe.name,
        "tuning": adapter.recipe.tuning.method,
        "parameters_in_encoder_adapter": prompts,
        "parameters_elsewhere": total - prompts,
        **info,
        "metrics": adapter.metrics,
    }


def load_adapter(adapter: AdapterFolder, base: str | None = None) -> BuiltCounter:
    """Build the base and put an adapter on it, ready to count (evaluation mode, nothing trainable).

    Args:
        adapter: from `read_adapter`.
        base: checkpoint name or file, if it is not to be found under its recorded name.

    Raises:
        UsageError: the base is missing or another one, or keys or shapes do not fit.
    """
    encoder, found = build_encoder(adapter.recipe, base or adapter.info.base, weights=not adapter.info.native)
    if not adapter.info.native:
        check_base(adapter, found)
    found = Base(found.name, adapter.info.base_fingerprint)
    if adapter.config is not None:
        encoder = add_adapter(encoder, config_from_dict(adapter.config))
    counter = add_decoders(encoder, adapter.recipe, segmenter=False)
    load_tensors(counter, adapter, "default")
    counter.requires_grad_(False)
    return BuiltCounter(counter.eval(), found)


def check_base(adapter: AdapterFolder, base: Base) -> None:
    """Refuse a base that the adapter was not trained on: it would load silently and count wrongly."""
    if base.fingerprint != adapter.info.base_fingerprint:
        raise UsageError(
            f"Adapter '{adapter.path}' was trained on base '{adapter.info.base}' "
            f"({adapter.info.base_fingerprint[:19]}...), but '{base.name}' is another one "
            f"({base.fingerprint[:19]}...). Give the right one with --base."
        )


def start_from(adapter: AdapterFolder, built: BuiltCounter, recipe: Recipe) -> None:
    """Put an adapter's weights into a counter about to be trained; the segmenter, which no adapter has, stays new.

    Raises:
        UsageError: another base, or `recipe` builds other prompt modules or heads than the adapter's own.
    """
    theirs, ours = adapter.recipe.tuning.method, recipe.tuning.method
    if theirs != ours:
        raise UsageError(
            f"train.init_from: expected an adapter of tuning.method = '{ours}' as the recipe's, '{adapter.path}' has "
            f"'{theirs}'. Start from another adapter, or with --set tuning.method={theirs}."
        )
    if not adapter.info.native:
        check_base(adapter, built.base)
    load_tensors(built.counter, adapter, "default")


def load_tensors(counter: CrowdCounter, adapter: AdapterFolder, name: str) -> None:
    """Put an adapter's tensors into the encoder's adapter `name` and into the counter's heads, all or nothing.

    Raises:
        UsageError: missing, unexpected or reshaped keys, all named.
    """
    prompts = {key: tensor for key, tensor in adapter.tensors.items() if key.startswith(_OF_PEFT)}
    heads = {key: tensor for key, tensor in adapter.tensors.items() if not key.startswith(_OF_PEFT)}
    own = counter.decoder_state()
    if adapter.info.native:
        own |= {f"encoder.{key}": tensor for key, tensor in counter.encoder.state_dict().items()}
    check_against({_HEADS + key: tensor.shape for key, tensor in own.items()}, heads, f"'{adapter.path / TENSORS}'")
    if adapter.config is not None:
        load_adapter_state(counter.encoder, prompts, name, f"'{adapter.path / TENSORS}'")
    elif prompts:
        raise UsageError(f"Adapter '{adapter.path}' has prompt modules but no {CONFIG}. Export it again.")
    counter.load_state_dict({key.removeprefix(_HEADS): tensor for key, tensor in heads.items()}, strict=False)


def read_info(folder: Path) -> CounterFile:
    """Read a folder's counter.json alone. Raises UsageError when it is missing, damaged or of another version."""
    path = folder / COUNTER
    if not path.is_file():
        raise UsageError(
            f"'{folder}' is no adapter of sam-mprompt: it has no {COUNTER}. See 'sam-mprompt adapters list'."
        )
    table = _read_json(path)
    if table.get("format_version") != FORMAT_VERSION:
        raise UsageError(
            f"'{path}' has format version {table.get('format_version')!r}, this sam-mprompt reads {FORMAT_VERSION}. "
            "Upgrade sam-mprompt, or export the adapter again."
        )
    try:
        return CounterFile.model_validate(table)
    except ValidationError as error:
        faults = ", ".join(".".join(str(part) for part in fault["loc"]) for fault in error.errors())
        raise UsageError(f"'{path}' is damaged, faulty keys: {faults}. Copy the folder again.") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read as JSON: {error}. Copy the folder again.") from error
    if not isinstance(value, dict):
        raise UsageError(f"'{path}' should hold a JSON object, got {type(value).__name__}. Copy the folder again.")
    return value


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
