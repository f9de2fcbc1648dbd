"""Adapter folders on disk: whole or absent, checked before anything is used. `loading` puts one on its base."""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UsageError
from ..files import is_file, recover, replacing, sha256_of
from ..geometry import Geometry
from ..models.build import BuiltCounter
from ..recipe.find import read_toml
from ..recipe.schema import Recipe, parse_recipe
from ..recipe.tuning import BARE
from ..tensor_files import read_tensors, write_tensors
from ..version import __version__
from .calibration_file import CALIBRATION, CalibrationFile, read_calibration
from .contents import CARD, CONFIG, METRICS, PREFIX, RECIPE, TENSORS
from .counter_file import COUNTER, FORMAT_VERSION, CounterFile, Dtype, read_counter_file, read_json
from .hub import hub_source
from .inside import config_of, state_of
from .licences_file import LICENCES_FILE, LicencesFile, read_licences
from .model_card import model_card
from .origin import licences_of
from .scope_file import SCOPE, ScopeFile, read_scope

OF_COUNTER = "counter."
"""How the names of the tensors start that are not peft's: the decoders', and a native model's encoder's."""


@dataclass(frozen=True)
class AdapterFolder:
    """All that an adapter folder holds, not put on a base.

    Attributes:
        path: the folder, which need not be written yet.
        info: its counter.json.
        recipe: what it was trained with.
        config: its adapter_config.json; None for a native counter or one whose encoder has no adapter.
        tensors: on the CPU, as stored.
        metrics: validation figures, as finetune wrote them.
        calibration: what images were counted as that the weights were not trained on; None where that is not known.
        uncalibrated: why there is no calibration.
        scope: what training saw; None where that is not known.
        licences: of base and images; None where the folder does not say, as those of earlier versions do not.
    """

    path: Path
    info: CounterFile
    recipe: Recipe
    config: dict[str, Any] | None
    tensors: dict[str, Tensor]
    metrics: dict[str, Any]
    calibration: CalibrationFile | None = None
    uncalibrated: str = "it was written without one"
    scope: ScopeFile | None = None
    licences: LicencesFile | None = None

    @classmethod
    def read(cls, path: Path) -> "AdapterFolder":
        """Read and check a folder without a base.

        Raises:
            UsageError: a file is missing, was changed or cut short, holds NaN or a key twice, is of another version,
                or counter.json and recipe.toml contradict each other.
        """
        info = read_counter_file(path)
        files = {RECIPE, METRICS, TENSORS} | ({CONFIG} & info.sha256.keys())
        if missing := sorted(name for name in files | info.sha256.keys() if not is_file(path / name)):
            raise UsageError(f"Adapter '{path}' is not complete: {', '.join(missing)} missing. Copy the folder again.")
        tensors = read_tensors(path / TENSORS)
        changed = sorted(name for name, digest in info.sha256.items() if sha256_of(path / name) != digest)
        if changed or not files <= info.sha256.keys():
            raise UsageError(
                f"Adapter '{path}' was changed after it was written: {', '.join(changed) or 'a checksum is missing'} "
                f"(SHA-256 differs from {COUNTER}). Copy the folder again, or export it again."
            )
        recipe = parse_recipe(read_toml(path / RECIPE), source=str(path / RECIPE))
        if info.native != (recipe.tuning.method == "full"):
            raise UsageError(
                f"Adapter '{path}' contradicts itself: native is {info.native} in {COUNTER}, and tuning.method is "
                f"'{recipe.tuning.method}' in {RECIPE}. Copy the folder again, or export it again."
            )
        _check_geometry(path, info.geometry, recipe.geometry)
        config = read_json(path / CONFIG) if CONFIG in files else None
        scope = read_scope(path) if SCOPE in info.sha256 else None
        licences = read_licences(path) if LICENCES_FILE in info.sha256 else None
        metrics = read_json(path / METRICS)
        found = cls(path, info, recipe, config, tensors, metrics, scope=scope, licences=licences)
        if CALIBRATION in info.sha256:
            found = found._calibrated(read_calibration(path))
        elif (path / CALIBRATION).exists():
            found = replace(found, uncalibrated=f"its {CALIBRATION} was put there by somebody else ({COUNTER})")
        return found

    def _calibrated(self, calibration: CalibrationFile) -> "AdapterFolder":
        """Take a calibration if it is that of these weights: of others it would be believed and wrong."""
        if calibration.weights != self.info.sha256[TENSORS]:
            return replace(self, uncalibrated=f"its {CALIBRATION} belongs to other weights")
        return replace(self, calibration=calibration)

    @classmethod
    def of(
        cls,
        path: Path,
        built: BuiltCounter,
        recipe: Recipe,
        *,
        metrics: dict[str, Any],
        dtype: Dtype = "float32",
        calibration: CalibrationFile | None = None,
        scope: ScopeFile | None = None,
    ) -> "AdapterFolder":
        """Gather what a trained counter's folder will hold, for `write`; never the base, never the segmenter."""
        counter = built.counter
        tensors = {OF_COUNTER + name: tensor for name, tensor in counter.decoder_state().items()}
        config: dict[str, Any] | None = None
        native = recipe.tuning.method == "full"
        if native:
            tensors |= {f"{OF_COUNTER}encoder.{name}": tensor for name, tensor in counter.encoder.state_dict().items()}
        elif recipe.tuning.method not in BARE:
            config = config_of(counter.encoder)
            tensors |= state_of(counter.encoder)
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
            geometry=recipe.geometry,
            sha256={},
        )
        licences = licences_of(recipe, built.base.name)
        return cls(path, info, recipe, config, tensors, metrics, calibration, scope=scope, licences=licences)

    @property
    def source(self) -> str:
        """Where it came from: "hf://OWNER/NAME@COMMIT" of one that the Hub has, else its path."""
        return hub_source(self.path) or str(self.path)

    @property
    def known_licences(self) -> LicencesFile:
        """Its licences as recorded; of one that records none, what is known of its base today."""
        return self.licences or licences_of(self.recipe, self.info.base)

    @property
    def geometry(self) -> Geometry:
        """How images are resized and tiled."""
        return self.info.geometry

    def write(self) -> None:
        """Write the folder in place of what stood there.

        Raises:
            UsageError: values beyond the range of the dtype.
            RunError: values that are not finite, or a full disk; an older folder is kept then.
        """
        stored = {name: _narrowed(name, tensor, self.info.dtype) for name, tensor in self.tensors.items()}
        recover(self.path)
        with replacing(self.path) as temporary:
            temporary.mkdir()
            write_tensors(temporary / TENSORS, stored)
            if self.config is not None:
                _write_json(temporary / CONFIG, self.config)
            (temporary / RECIPE).write_text(self.recipe.to_toml(), encoding="utf-8")
            _write_json(temporary / METRICS, self.metrics)
            if self.calibration is not None:
                _write_calibration(temporary, self.calibration)
            if self.scope is not None:
                _write_json(temporary / SCOPE, self.scope.model_dump())
            _write_json(temporary / LICENCES_FILE, self.known_licences.model_dump())
            sha256 = {file.name: sha256_of(file) for file in sorted(temporary.iterdir())}
            info = self.info.model_copy(update={"sha256": sha256})
            _write_json(temporary / COUNTER, info.model_dump())
            (temporary / CARD).write_text(self.card(), encoding="utf-8")

    def card(self, **chosen: Any) -> str:
        """Return its README.md; `chosen` are what `model_card` takes of licence, datasets and source."""
        return model_card(
            self.info,
            self.recipe,
            self.metrics,
            of_peft=self.config is not None,
            licences=self.known_licences,
            calibration=self.calibration,
            scope=self.scope,
            **chosen,
        )

    def export(self, to: Path, *, dtype: Dtype) -> "AdapterFolder":
        """Write a copy with its prompt modules stored as `dtype`, and return it as read back.

        One without prompt modules (a native model, a side network) stays float32, and its record says so.

        Raises:
            UsageError: `to` holds something already, or values are beyond the range of `dtype`.
            RunError: a full disk.
        """
        _expect_new(to)
        narrows = any(name.startswith(PREFIX) for name in self.tensors)
        current = {"format_version": FORMAT_VERSION, "written_by": __version__}
        info = self.info.model_copy(update={**current, "dtype": dtype if narrows else self.info.dtype})
        replace(self, path=to, info=info).write()
        return AdapterFolder.read(to)

    def recalibrate(self, calibration: CalibrationFile, to: Path | None = None) -> "AdapterFolder":
        """Write another calibration into the folder, or into a copy of it, and return that as read back.

        Every other file stays as it is, those that are not the adapter's too; a card that nobody edited tells of it.

        Raises:
            UsageError: `to` holds something already.
            RunError: a full disk, or a folder that cannot be written; the older calibration is kept then.
        """
        if to is not None:
            _expect_new(to)
        recover(to or self.path)
        with replacing(to or self.path) as temporary:
            shutil.copytree(self.path, temporary)
            _write_calibration(temporary, calibration)
            sha256 = self.info.sha256 | {CALIBRATION: sha256_of(temporary / CALIBRATION)}
            _write_json(temporary / COUNTER, self.info.model_copy(update={"sha256": sha256}).model_dump())
            card = temporary / CARD
            if card.is_file() and card.read_bytes() == self.card().encode():  # not one that somebody wrote by hand
                card.write_text(replace(self, calibration=calibration).card(), encoding="utf-8")
        return AdapterFolder.read(to or self.path)

    def size_on_disk(self) -> int:
        """Return the bytes of all its files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    def facts(self) -> dict[str, Any]:
        """Return JSON-ready facts for a user to read."""
        prompts = sum(tensor.numel() for name, tensor in self.tensors.items() if name.startswith(PREFIX))
        total = sum(tensor.numel() for tensor in self.tensors.values())
        return {
            "path": str(self.path),
            "source": self.source,
            "bytes": self.size_on_disk(),
            "recipe": self.recipe.name,
            "tuning": self.recipe.tuning.method,
            "parameters_in_encoder_adapter": prompts,
            "parameters_elsewhere": total - prompts,
            **self.info.model_dump(mode="json", exclude={"sha256"}),
            "metrics": self.metrics,
            "calibration": None if self.calibration is None else self.calibration.facts(),
            "licences": self.known_licences.model_dump(exclude={"format_version"}),
        }


def _expect_new(to: Path) -> None:
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise UsageError(f"'{to}' is not empty: expected a new folder to export to.", about="export folder")


def _check_geometry(path: Path, written: Geometry, of_recipe: Geometry) -> None:
    """Refuse a counter.json that would count at other sizes than the recipe says it was trained at.

    The steps of tiles are the package's choice: a folder keeps those that it was written with.
    """
    for name, value in vars(written).items():
        if name != "tile_step" and value != (expected := getattr(of_recipe, name)):
            raise UsageError(
                f"Adapter '{path}' contradicts itself: {name} is {value} in {COUNTER} and {expected} in {RECIPE}. "
                "Copy the folder again, or export it again."
            )


def _narrowed(name: str, tensor: Tensor, dtype: Dtype) -> Tensor:
    """Store prompt modules as `dtype`. The decoders stay float32: they are few, and batch norm needs the range."""
    if not (name.startswith(PREFIX) and tensor.is_floating_point()):
        return tensor
    narrow = tensor.to(getattr(torch, dtype))
    if tensor.isfinite().all() and not narrow.isfinite().all():
        raise UsageError(f"{name} has values beyond the range of {dtype}. Export it as float32.")
    return narrow


def _write_calibration(folder: Path, calibration: CalibrationFile) -> None:
    """Write a calibration beside the tensors that it then belongs to."""
    own = calibration.model_copy(update={"weights": sha256_of(folder / TENSORS)})
    _write_json(folder / CALIBRATION, own.model_dump())


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
