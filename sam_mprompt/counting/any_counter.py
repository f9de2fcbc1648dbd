"""What every counter does with images and videos, whatever runs its network. Free of torch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..data.bounds import Reading
from ..errors import UsageError
from ..geometry import Geometry
from .averaged import Mirrored
from .backend import DensityBackend
from .by_adapter import Setup, paired
from .intervals import LEVEL, Calibration, checked_level
from .predict import check_batch_size, count_each
from .region import Region
from .regions import Regions
from .result import CountResult, ImageLike
from .scales import ONCE, checked_scales
from .scope import Scope
from .video.every import Every
from .video.frame import Notice, silent
from .video.live import RECONNECT
from .video.series import FrameCount, TrailingMedian, count_frames
from .video.source import VideoLike, as_video

_OTHER_SIZES = Calibration(missing="adapters are calibrated at their images' own size alone", for_good=True)


@dataclass(frozen=True)
class TrainedOn:
    """What reading the data that an adapter was trained on takes; the keys of its recipe of the same names.

    Attributes:
        label: of data.label: whose marks are heads.
        val_fraction: of data.val_fraction: the share of train that became val.
        fold: of data.fold.
        folds: of train.folds: in how many parts error bars were made, 0 for none.
        stretch: of data.stretch: whether 16-bit images are scaled from the bits that they use.
    """

    label: str = ""
    val_fraction: float = 0.1
    fold: int = 1
    folds: int = 0
    stretch: bool = False


@dataclass(frozen=True)
class Ready:
    """A network, and all that counting with it takes.

    Attributes:
        backend: the network.
        geometry: how images are resized and cut.
        calibration: what is known of its errors.
        scope: what training saw.
        trained_on: how the training's data is read.
    """

    backend: DensityBackend
    geometry: Geometry
    calibration: Calibration
    scope: Scope
    trained_on: TrainedOn


class AnyCounter(ABC):
    """Counts people in images and videos with networks that have names; `load` makes one of a folder or a file."""

    def __init__(
        self,
        *,
        max_pixels: int | None = None,
        stretch: bool | None = None,
        flip: bool = False,
        scales: Iterable[float] = ONCE,
    ) -> None:
        self._max_pixels, self._stretch, self._flip = max_pixels, stretch, flip
        self._scales = checked_scales(scales)

    @property
    @abstractmethod
    def active(self) -> str:
        """Name of the network that counts in this thread."""

    @property
    @abstractmethod
    def adapters(self) -> dict[str, Path]:
        """Where the loaded networks come from, by name."""

    @abstractmethod
    def load_adapter(self, adapter: str | Path, *, name: str) -> None:
        """Load another adapter. Raises UsageError where it does not fit, or none can be added."""

    @abstractmethod
    def use(self, name: str) -> None:
        """Make a loaded adapter the one that counts from now on. Raises UsageError where there is none of the name."""

    @abstractmethod
    def ready(self, name: str) -> Ready:
        """Return the network of a name. Raises UsageError where there is none."""

    @property
    def calibration(self) -> Calibration:
        """What is known of the active network's errors."""
        return self._calibration_of(self.ready(self.active))

    def calibration_of(self, name: str) -> Calibration:
        """Return what is known of a loaded network's errors. Raises UsageError for a name that is none."""
        return self._calibration_of(self.ready(name))

    @property
    def trained_on(self) -> TrainedOn:
        """How the data of the active network's training is read."""
        return self.ready(self.active).trained_on

    @property
    def reading(self) -> Reading:
        """How image files are decoded for the active network."""
        return self._reading_for(self.ready(self.active))

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
        name = self.active if adapter is None else adapter
        step, median = Every.of(every), smooth if isinstance(smooth, TrailingMedian) else TrailingMedian(smooth)
        reading = self._reading_for(self.ready(name))
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

    def _setup(self, name: str) -> Setup:
        ready = self.ready(name)
        backend = Mirrored(ready.backend) if self._flip else ready.backend
        calibration, reading = self._calibration_of(ready), self._reading_for(ready)
        return Setup(backend, ready.geometry, reading, calibration, ready.scope, self._scales)

    def _calibration_of(self, ready: Ready) -> Calibration:
        return ready.calibration if self._scales == ONCE else _OTHER_SIZES

    def _reading_for(self, ready: Ready) -> Reading:
        stretch = ready.trained_on.stretch if self._stretch is None else self._stretch
        return Reading(self._max_pixels, stretch, reduced=True)
