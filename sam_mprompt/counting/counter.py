"""The counter in user code: load an adapter once, count many images, switch between adapters on one base."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from ..adapter.find import find_adapter
from ..adapter.folder import AdapterFolder
from ..adapter.loading import DEFAULT, check_base, load_adapter, load_tensors
from ..adapter.peft_layout import config_from_dict
from ..errors import UsageError, did_you_mean
from ..models.acceleration import compile_encoder, use_flex_attention
from ..models.build import BuiltCounter, add_decoders
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe
from ..tuning.adapters import remove, switch
from ..tuning.attach import add_adapter
from .predict import count_many
from .result import CountResult, ImageLike
from .torch_backend import Precision, TorchBackend, choose_device


def load(
    adapter: str | Path,
    *,
    device: str | torch.device | None = None,
    base: str | None = None,
    precision: Precision = "no",
    compile: bool = False,
    flex_attention: bool = False,
) -> "Counter":
    """Load an adapter folder onto its base, ready to count.

    Args:
        adapter: an adapter folder, a run folder, or the name of one that `sam-mprompt adapters list` shows.
        device: "cpu", "cuda", "cuda:1", ...; by default the GPU when there is one.
        base: checkpoint name or file when the base is not found under its recorded name.
        precision: mixed precision on a GPU; a CPU always counts in float32.
        compile: translate the encoder by `torch.compile` at the first image. Every other size of a tile is translated
            anew: worth it for many images that fill their tiles.
        flex_attention: with `compile`, on a GPU: fuse SAM's position bias into attention.

    Raises:
        UsageError: no such adapter, damaged files, or another base than it was trained on.
    """
    chosen = choose_device(device)
    folder = AdapterFolder.read(find_adapter(adapter))
    built = load_adapter(folder, base)
    built.counter.to(chosen)
    if flex_attention:
        use_flex_attention(built.counter.encoder)
    if compile:
        compile_encoder(built.counter.encoder)
    return Counter(built, folder, chosen, precision=precision)


@dataclass(frozen=True)
class _Loaded:
    folder: AdapterFolder
    model: CrowdCounter
    adapter_name: str
    backend: TorchBackend


class Counter:
    """Counts people in images with one of the adapters that are loaded on one base; made by `load`."""

    def __init__(
        self,
        built: BuiltCounter,
        folder: AdapterFolder,
        device: torch.device,
        *,
        precision: Precision = "no",
    ) -> None:
        self.device, self.base, self.precision = device, built.base, precision
        self.active = DEFAULT
        self._loaded = {DEFAULT: self._ready(folder, built.counter, DEFAULT)}

    @property
    def adapters(self) -> dict[str, Path]:
        """The loaded adapters' folders by name; the one given to `load` is "default"."""
        return {name: loaded.folder.path for name, loaded in self._loaded.items()}

    @property
    def recipe(self) -> Recipe:
        """What the active adapter was trained with."""
        return self._loaded[self.active].folder.recipe

    @property
    def model(self) -> CrowdCounter:
        """The active torch module."""
        return self._loaded[self.active].model

    def count(self, image: ImageLike) -> CountResult:
        """Count one image: a path, a PIL image or a uint8 RGB array (H, W, 3), of any size.

        Raises:
            UsageError: the image can't be read.
        """
        return next(self.count_many([image]))

    def count_many(
        self,
        images: Iterable[ImageLike],
        *,
        batch_size: int = 1,
        on_error: Callable[[ImageLike, UsageError], None] | None = None,
    ) -> Iterator[CountResult]:
        """Yield one result per image, in order; images are decoded ahead, `batch_size` tiles share a forward pass.

        Args:
            images: paths, PIL images or uint8 RGB arrays.
            batch_size: images decoded ahead and tiles per forward pass.
            on_error: called with an image that can't be read, which is then left out, and the reason.

        Raises:
            UsageError: an image can't be read and `on_error` is not given.
        """
        loaded = self._loaded[self.active]
        _switch_to(loaded)
        return count_many(loaded.backend, images, loaded.folder.geometry, batch_size=batch_size, on_error=on_error)

    def load_adapter(self, adapter: str | Path, *, name: str) -> None:
        """Load another adapter onto the same base, to be chosen with `use`; the active one stays active.

        Raises:
            UsageError: the name is taken, another base, a native model, another kind of adapter, damaged files.
        """
        if name in self._loaded:
            raise UsageError(f"An adapter '{name}' is loaded already; choose another name.")
        folder = AdapterFolder.read(find_adapter(adapter))
        first = self._loaded[DEFAULT]
        if folder.info.native or first.folder.info.native or folder.config is None or first.folder.config is None:
            raise UsageError(f"'{folder.path}' does not share a frozen base with prompt modules: load it on its own.")
        check_base(folder, self.base)
        encoder = first.model.encoder
        add_adapter(encoder, config_from_dict(folder.config), name)
        try:
            model = add_decoders(encoder, folder.recipe, segmenter=False)
            load_tensors(model, folder, name)
        except UsageError:
            remove(encoder, name)
            raise
        model.requires_grad_(False)
        self._loaded[name] = self._ready(folder, model.eval().to(self.device), name)
        _switch_to(self._loaded[self.active])

    def use(self, name: str) -> None:
        """Make a loaded adapter the one that counts. Raises UsageError for an unknown name."""
        if name not in self._loaded:
            raise UsageError(
                f"No adapter '{name}' is loaded.{did_you_mean(name, self._loaded)} Loaded: {', '.join(self._loaded)}."
            )
        self.active = name

    def _ready(self, folder: AdapterFolder, model: CrowdCounter, name: str) -> _Loaded:
        return _Loaded(folder, model, name, TorchBackend(model, self.device, precision=self.precision))


def _switch_to(loaded: _Loaded) -> None:
    """Make the shared encoder work with this adapter's prompt modules."""
    if loaded.folder.config is not None:
        switch(loaded.model.encoder, loaded.adapter_name)
