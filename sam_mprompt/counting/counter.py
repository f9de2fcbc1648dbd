"""The counter in user code: load an adapter once, count many images, switch between adapters on one base."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..adapter.find import find_adapter
from ..adapter.folder import AdapterFolder
from ..adapter.inside import DEFAULT
from ..adapter.loading import add_to, load_adapter
from ..errors import UsageError, did_you_mean
from ..models.acceleration import channels_last, compile_encoder
from ..models.build import BuiltCounter
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe
from ..tuning.turns import Turns
from .any_counter import AnyCounter, Ready, TrainedOn
from .choice import Choice
from .intervals import Calibration
from .scales import ONCE
from .scope import Range, Scope
from .torch_backend import Precision, TorchBackend, check_precision, choose_device


def load(
    adapter: str | Path,
    *,
    device: str | int | torch.device | None = None,
    base: str | None = None,
    precision: Precision = "no",
    compile: bool = False,
    max_pixels: int | None = None,
    stretch: bool | None = None,
    flip: bool = False,
    scales: Iterable[float] = ONCE,
) -> "Counter":
    """Load an adapter folder onto its base, ready to count; `sam_mprompt.load` says what the arguments mean.

    Raises:
        UsageError: no such adapter, device or precision, damaged files, or another base than it was trained on.
    """
    chosen, precision = choose_device(device), check_precision(precision)
    folder = AdapterFolder.read(find_adapter(adapter))
    built = load_adapter(folder, base)
    built.counter.to(chosen)
    if compile:
        compile_encoder(built.counter.encoder)
    how: dict[str, Any] = {"max_pixels": max_pixels, "stretch": stretch, "flip": flip, "scales": scales}
    return Counter(built, folder, chosen, precision=precision, **how)


@dataclass(frozen=True)
class _Loaded:
    folder: AdapterFolder
    model: CrowdCounter
    backend: TorchBackend
    ready: Ready


class Counter(AnyCounter):
    """Counts people in images with one of the adapters that are loaded on one base; made by `load`.

    Threads may share one: each chooses its own adapter (`use`), and what is being counted keeps the adapter that it was
    begun with. Threads that count with the same adapter run side by side, others take turns, tile by tile.
    """

    def __init__(
        self,
        built: BuiltCounter,
        folder: AdapterFolder,
        device: torch.device,
        *,
        precision: Precision = "no",
        max_pixels: int | None = None,
        stretch: bool | None = None,
        flip: bool = False,
        scales: Iterable[float] = ONCE,
    ) -> None:
        super().__init__(max_pixels=max_pixels, stretch=stretch, flip=flip, scales=scales)
        self.device, self.base, self.precision = device, built.base, precision
        self._turns = Turns(built.counter.encoder)
        self._choice = Choice(DEFAULT)
        self._loaded = {DEFAULT: self._load(folder, built.counter, DEFAULT)}

    @property
    def active(self) -> str:
        """Name of the adapter that counts in this thread."""
        return self._choice.get()

    @property
    def adapters(self) -> dict[str, Path]:
        """The loaded adapters' folders by name; the one given to `load` is "default"."""
        return {name: loaded.folder.path for name, loaded in list(self._loaded.items())}

    @property
    def recipe(self) -> Recipe:
        """What the active adapter was trained with."""
        return self._loaded[self.active].folder.recipe

    @property
    def folder(self) -> AdapterFolder:
        """The active adapter as it was read."""
        return self._loaded[self.active].folder

    @property
    def model(self) -> CrowdCounter:
        """The active torch module. Its encoder works with the active adapter until this counter counts with another."""
        loaded = self._loaded[self.active]
        with loaded.backend.turn():
            return loaded.model

    def load_adapter(self, adapter: str | Path, *, name: str) -> None:
        """Load another adapter onto the same base, to be chosen with `use`; the active one stays active.

        What is being counted meanwhile goes on with its own.

        Raises:
            UsageError: the name is taken, another base, a native model, another kind of adapter, damaged files.
        """
        folder = AdapterFolder.read(find_adapter(adapter))
        first = self._loaded[DEFAULT]
        if folder.info.native or first.folder.info.native or folder.config is None or first.folder.config is None:
            raise UsageError(f"'{folder.path}' does not share a frozen base with prompt modules: load it on its own.")
        with self._turns.alone():
            if name in list(self._loaded):  # a list: what is no name is refused below
                raise UsageError(f"An adapter '{name}' is loaded already; choose another name.")
            model = add_to(first.model.encoder, self.base, folder, name)
            self._loaded[name] = self._load(folder, model.to(self.device), name)

    def use(self, name: str) -> None:
        """Make a loaded adapter the one that counts from now on in this thread.

        In the thread that loaded this counter it is also the choice of all threads that make none of their own.

        Raises:
            UsageError: no adapter of that name is loaded.
        """
        self._choice.set(self._known(name))

    def _known(self, name: str) -> str:
        loaded = list(self._loaded)
        if name not in loaded:
            raise UsageError(
                f"No adapter '{name}' is loaded.{did_you_mean(str(name), loaded)} Loaded: {', '.join(loaded)}."
            )
        return name

    def ready(self, name: str) -> Ready:
        """Return a loaded adapter's network. Raises UsageError where there is none of the name."""
        return self._loaded[self._known(name)].ready

    def _load(self, folder: AdapterFolder, model: CrowdCounter, name: str) -> _Loaded:
        alone = folder.config is None  # nothing in the encoder that could be switched
        turn: Callable[[], AbstractContextManager[None]] = nullcontext if alone else partial(self._turns.using, name)
        if self.device.type == "cpu":
            channels_last(model)
        backend = TorchBackend(model, self.device, precision=self.precision, turn=turn)
        known = calibration_of(folder), scope_of(folder), trained_on_of(folder.recipe)
        return _Loaded(folder, model, backend, Ready(backend, folder.geometry, *known))


def calibration_of(folder: AdapterFolder) -> Calibration:
    """Return what an adapter's folder knows of its errors; where that is nothing, the reason."""
    if folder.calibration is None:
        return Calibration(missing=f"'{folder.path}' has no calibration: {folder.uncalibrated}")
    return Calibration.fit(folder.calibration.heads, folder.calibration.counted)


def scope_of(folder: AdapterFolder) -> Scope:
    """Return what an adapter's training saw; nothing is warned of where that is not known."""
    known = {} if folder.scope is None else folder.scope.ranges
    return Scope({name: Range(own.least, own.most, own.low, own.high) for name, own in known.items()})


def trained_on_of(recipe: Recipe) -> TrainedOn:
    """Return what reading the data of a recipe takes."""
    data = recipe.data
    return TrainedOn(data.label, data.val_fraction, data.fold, recipe.train.folds, data.stretch)
