"""The counter in user code: load an adapter once, count many images, switch between adapters on one base."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from ..adapter.find import find_adapter
from ..adapter.folder import AdapterFolder
from ..adapter.loading import DEFAULT, add_to, load_adapter
from ..data.bounds import Reading
from ..errors import UsageError, did_you_mean
from ..models.acceleration import compile_encoder, use_flex_attention
from ..models.build import BuiltCounter
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe
from ..tuning.turns import Turns
from .by_adapter import Setup, paired
from .choice import Choice
from .intervals import LEVEL, Calibration, checked_level
from .predict import check_batch_size, count_each
from .region import Region
from .regions import Regions
from .result import CountResult, ImageLike
from .scope import Range, Scope
from .torch_backend import Precision, TorchBackend, check_precision, choose_device
from .video.every import Every
from .video.frame import Notice, silent
from .video.live import RECONNECT
from .video.series import FrameCount, TrailingMedian, count_frames
from .video.source import VideoLike, as_video


def load(
    adapter: str | Path,
    *,
    device: str | int | torch.device | None = None,
    base: str | None = None,
    precision: Precision = "no",
    compile: bool = False,
    flex_attention: bool = False,
    max_pixels: int | None = None,
    stretch: bool | None = None,
) -> "Counter":
    """Load an adapter folder onto its base, ready to count.

    Args:
        adapter: an adapter folder, a run folder, or the name of one that `sam-mprompt adapters list` shows.
        device: "cpu", "cuda", "cuda:1" or 1, "mps"; by default the GPU when there is one.
        base: checkpoint name or file when the base is not found under its recorded name.
        precision: mixed precision on a GPU; a CPU always counts in float32.
        compile: translate the encoder by `torch.compile` at the first image. Every other size of a tile is translated
            anew: worth it for many images that fill their tiles.
        flex_attention: with `compile`, on a GPU: fuse SAM's position bias into attention.
        max_pixels: the most pixels that are decoded of an image file; None for 2**28, and for 2**30 of a file that is
            large enough to be a photograph of that size. A JPEG above it is decoded to a smaller copy where it is
            shrunk at least as much anyway; other images above it are refused.
        stretch: whether 16-bit images are scaled from the bits that they use; None for what each adapter was trained
            with (its recipe's data.stretch).

    Raises:
        UsageError: no such adapter, device or precision, damaged files, or another base than it was trained on.
    """
    Reading(max_pixels=max_pixels)  # refused before anything is loaded
    chosen, precision = choose_device(device), check_precision(precision)
    folder = AdapterFolder.read(find_adapter(adapter))
    built = load_adapter(folder, base)
    built.counter.to(chosen)
    if flex_attention:
        use_flex_attention(built.counter.encoder)
    if compile:
        compile_encoder(built.counter.encoder)
    return Counter(built, folder, chosen, precision=precision, max_pixels=max_pixels, stretch=stretch)


@dataclass(frozen=True)
class _Loaded:
    folder: AdapterFolder
    model: CrowdCounter
    backend: TorchBackend
    calibration: Calibration
    scope: Scope


class Counter:
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
    ) -> None:
        self.device, self.base, self.precision = device, built.base, precision
        self._max_pixels, self._stretch = max_pixels, stretch
        self._turns = Turns(built.counter.encoder)
        self._choice = Choice(DEFAULT)
        self._loaded = {DEFAULT: self._ready(folder, built.counter, DEFAULT)}

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
    def calibration(self) -> Calibration:
        """What is known of the active adapter's errors."""
        return self._loaded[self.active].calibration

    def calibration_of(self, name: str) -> Calibration:
        """Return what is known of a loaded adapter's errors. Raises UsageError for a name that is none."""
        return self._loaded[self._known(name)].calibration

    @property
    def reading(self) -> Reading:
        """How image files are decoded for the active adapter."""
        return self._reading_for(self._loaded[self.active])

    @property
    def model(self) -> CrowdCounter:
        """The active torch module. Its encoder works with the active adapter until this counter counts with another."""
        loaded = self._loaded[self.active]
        with loaded.backend.turn():
            return loaded.model

    def count(self, image: ImageLike, *, adapter: str | None = None) -> CountResult:
        """Count one image: a path, a PIL image or a uint8 RGB array (H, W, 3), of any size.

        Args:
            image: in its original resolution.
            adapter: name of a loaded adapter; by default the active one.

        Raises:
            UsageError: the image can't be read, or there is no such adapter.
        """
        return next(self.count_many([image], adapter=adapter))

    def count_many(
        self,
        images: Iterable[ImageLike],
        *,
        adapter: str | None = None,
        adapters: Iterable[str] | None = None,
        batch_size: int = 1,
        on_error: Callable[[ImageLike, UsageError], None] | None = None,
    ) -> Iterator[CountResult]:
        """Yield one result per image, in order; images are decoded ahead, `batch_size` tiles share a forward pass.

        All of them are counted with one adapter, or each with its own, whatever `use` is called with meanwhile. Those
        that are decoded together and have one adapter share its forward passes.

        Args:
            images: paths, PIL images or uint8 RGB arrays.
            adapter: name of a loaded adapter; by default the one that is active now.
            adapters: instead, one name of a loaded adapter per image, in the same order.
            batch_size: images decoded ahead and tiles per forward pass.
            on_error: called with an image that can't be read, which is then left out, and the reason.

        Raises:
            UsageError: an image can't be read and `on_error` is not given, there is no such adapter, or `adapters` are
                more or fewer than the images.
        """
        check_batch_size(batch_size)
        if isinstance(images, str | bytes | Path) or not isinstance(images, Iterable):
            raise UsageError(f"Expected several images to count, such as a list of paths, got {images!r}.")
        if adapters is not None:
            if adapter is not None:
                raise UsageError("Expected one adapter for all images, or adapters, one per image; got both.")
            return count_each(paired(images, adapters, self._setup), batch_size=batch_size, on_error=on_error)
        setup = self._setup(self.active if adapter is None else adapter)
        return count_each(((image, setup) for image in images), batch_size=batch_size, on_error=on_error)

    def count_video(
        self,
        source: VideoLike,
        *,
        every: str | float | Every = "1s",
        smooth: str | float | TrailingMedian = 0,
        fps: float | None = None,
        reconnect: float = RECONNECT,
        after: float | None = None,
        regions: Regions | Iterable[Region] | None = None,
        level: float = LEVEL,
        adapter: str | None = None,
        batch_size: int = 1,
        results: bool = False,
        notice: Notice = silent,
    ) -> Generator[FrameCount, None, None]:
        """Yield the count of frame after frame of a video, as soon as there is one; memory does not grow with them.

        This is occupancy, how many people are in the picture at a time. How many different people came by is another
        question, which takes tracking.

        Args:
            source: a file; `rtsp://`, `http://` and other addresses; `webcam:0`; images as a folder, a pattern
                (`frames/%06d.jpg`) or a list of paths; or what `open_video` returns. A stream has no end: its newest
                frame is counted each time, and closing this iterator stops it.
            every: "1s", "500ms", "10min", a number of seconds, or "10f" for every tenth frame. Times are the
                container's own.
            smooth: seconds of the median that `FrameCount.smoothed` is, which looks back only; 0 for none.
            fps: frames per second of a sequence of images, which has no times of its own.
            reconnect: for how many seconds a lost stream is tried again, with longer and longer pauses.
            after: count only frames later than this, in seconds, to go on with a file.
            regions: parts of the picture that are counted too, such as `read_regions` returns.
            level: of the intervals.
            adapter: name of a loaded adapter; by default the one that is active now.
            batch_size: tiles per forward pass; frames of a file are decoded ahead in such numbers.
            results: whether each count keeps its `CountResult` in `FrameCount.result`, to draw it.
            notice: called with a line about broken frames, a lost stream, its return, a file that ends early.

        Raises:
            UsageError: no such video or adapter, nothing that can be decoded, a span, level or region that is none.
            RunError: a lost stream did not come back; what was yielded before holds.
        """
        check_batch_size(batch_size)
        checked_level(level)
        name = self._known(adapter) if adapter is not None else self.active
        step, median = Every.of(every), smooth if isinstance(smooth, TrailingMedian) else TrailingMedian(smooth)
        reading = self._reading_for(self._loaded[name])
        video = as_video(source, fps=fps, reconnect=reconnect, reading=reading, notice=notice)
        return count_frames(
            video,
            partial(self.count_many, adapter=name, batch_size=batch_size),
            every=step,
            notice=notice,
            batch_size=1 if video.live else batch_size,
            smooth=median,
            after=after,
            regions=regions if regions is None or isinstance(regions, Regions) else Regions(regions),
            level=level,
            results=results,
        )

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
            self._loaded[name] = self._ready(folder, model.to(self.device), name)

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

    def _setup(self, name: str) -> Setup:
        loaded = self._loaded[self._known(name)]
        geometry, reading = loaded.folder.geometry, self._reading_for(loaded)
        return Setup(loaded.backend, geometry, reading, loaded.calibration, loaded.scope)

    def _reading_for(self, loaded: _Loaded) -> Reading:
        stretch = loaded.folder.recipe.data.stretch if self._stretch is None else self._stretch
        return Reading(self._max_pixels, stretch, reduced=True)

    def _ready(self, folder: AdapterFolder, model: CrowdCounter, name: str) -> _Loaded:
        alone = folder.config is None  # nothing in the encoder that could be switched
        turn: Callable[[], AbstractContextManager[None]] = nullcontext if alone else partial(self._turns.using, name)
        backend = TorchBackend(model, self.device, precision=self.precision, turn=turn)
        return _Loaded(folder, model, backend, calibration_of(folder), scope_of(folder))


def calibration_of(folder: AdapterFolder) -> Calibration:
    """Return what an adapter's folder knows of its errors; where that is nothing, the reason."""
    if folder.calibration is None:
        return Calibration(missing=f"'{folder.path}' has no calibration: {folder.uncalibrated}")
    return Calibration.fit(folder.calibration.heads, folder.calibration.counted)


def scope_of(folder: AdapterFolder) -> Scope:
    """Return what an adapter's training saw; nothing is warned of where that is not known."""
    known = {} if folder.scope is None else folder.scope.ranges
    return Scope({name: Range(own.least, own.most, own.low, own.high) for name, own in known.items()})
