"""Numbered images as a video: their numbers and the frame rate give the time."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ...arrays import ByteImage
from ...data.bounds import Reading
from ...data.image import images_in, natural_order, read_image
from ...errors import UsageError
from ...files import is_folder
from .every import Every, Schedule
from .frame import Frame, Health, Notice, silent
from .names import numbered
from .times import clock


class ImageSequence:
    """Images that are the frames of a video, decoded as single images are.

    Args:
        images: each with its number; a number that is missing is a frame that is missing.
        fps: frames per second.
        name: what it is called.
        reading: how images are decoded.
        notice: told of broken images.

    Raises:
        UsageError: a frame rate that is none.
    """

    live = False

    def __init__(
        self,
        images: Sequence[tuple[int, Path]],
        fps: float | None,
        name: str,
        reading: Reading,
        notice: Notice = silent,
    ) -> None:
        if fps is None:
            raise UsageError(
                f"'{name}' is a sequence of images, whose times follow from a frame rate: expected frames per second.",
                about="frame rate",
            )
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 1e-6 < fps <= 1000:
            raise UsageError(f"fps: expected frames per second from 0.000001 to 1000, got {fps!r}.")
        self.name, self.health, self.fps = name, Health(), float(fps)
        self._images, self._reading, self._notice = images, reading, notice
        self._first = images[0][0]
        self.length = (images[-1][0] - self._first + 1) / self.fps

    def frames(self, every: Every, after: float | None = None) -> Iterator[Frame]:
        """Yield the frames that are due: see `Video.frames`. Only these are decoded."""
        schedule = Schedule(every, after)
        longest = max(3 / self.fps, 1.5 * (every.step(self.fps) or 0))
        last, gap, decoded, fault = None, 0.0, False, ""
        for number, path in self._images:
            index = number - self._first
            seconds = index / self.fps
            self.health.frames += 1
            if last is not None and seconds - last > longest:
                gap += seconds - last
                self.health.gap(seconds - last)
            last = seconds
            if not schedule.due(index, seconds):
                continue
            pixels, why = self._read(path)
            if pixels is None:
                fault = fault or why
                if self.health.broken == 0:
                    self._notice(f"{why} Frames that are broken are passed over, the first at {clock(seconds)}.")
                self.health.broken += 1
                self.health.frames -= 1
                schedule.missed()
                continue
            decoded = True
            yield Frame(index, seconds, pixels, gap=gap)
            gap = 0.0
        if fault and not decoded:
            raise UsageError(f"'{self.name}' holds no frame that can be decoded: {fault}")

    def close(self) -> None:
        """Nothing is open."""

    def _read(self, path: Path) -> tuple[ByteImage | None, str]:
        try:
            return read_image(path, self._reading), ""
        except UsageError as error:
            return None, str(error)


def images_of_sequence(name: str) -> list[tuple[int, Path]]:
    """Return the images of a pattern such as `frames/%06d.jpg`, or of a folder, each with its number.

    The numbers of a pattern's images are those in their names; a folder's images are counted in natural order.

    Raises:
        UsageError: no image is there.
    """
    path = Path(name)
    pattern = numbered(path.name)
    if is_folder(path):
        found = list(enumerate(images_in(path)))
    elif pattern is not None:
        files = path.parent.iterdir() if is_folder(path.parent) else iter(())
        matches = [(pattern.fullmatch(file.name), file) for file in files]
        found = sorted(
            ((int(match[1]), file) for match, file in matches if match), key=lambda one: (one[0], natural_order(one[1]))
        )
    else:
        found = []
    if not found:
        raise UsageError(
            f"No image of a sequence at '{name}': expected a folder, or a pattern such as frames/%06d.jpg."
        )
    return found
