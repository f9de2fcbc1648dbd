"""An image of any size becomes a density: decoded, resized, tiled and blended. Free of torch."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path

import numpy as np

from ..arrays import ByteImage, FloatArray
from ..data.bounds import Reading
from ..data.image import as_decoded
from ..errors import RunError, UsageError
from ..geometry import Geometry, resize_image, resized
from .backend import DensityBackend, MaskBackend
from .by_adapter import ANYTHING, Setup, in_groups
from .intervals import UNCALIBRATED, Calibration
from .result import CountResult, ImageLike, Prediction
from .scales import ONCE, mean_density, scaled
from .scope import Scope, of_heads, of_pixels
from .tiles import blend_tiles

_LARGEST_BATCH = 65_536
_READING = Reading(reduced=True)


def predict_density(
    backend: DensityBackend, image: ByteImage, geometry: Geometry, *, batch_size: int = 1
) -> Prediction:
    """Count one uint8 RGB image (H, W, 3) of any size.

    The image is resized (`resize_image`), cut into tiles where it is larger than one, and padded with zeros after
    normalisation, as training pads its crops (`blend_tiles`).

    Args:
        backend: the network.
        image: in its original resolution.
        geometry: how it is resized and cut.
        batch_size: tiles per call of the network.

    Raises:
        RunError: the device's memory is exhausted or the density is not finite.
    """
    return _densities(backend, [_Resized.of(image, geometry)], geometry, batch_size)[0]


def predict_with_mask(backend: MaskBackend, image: ByteImage, geometry: Geometry, *, batch_size: int = 1) -> Prediction:
    """Count one image as `predict_density` does and let the segmenter mark its heads: `mask_logits` is never None.

    Raises:
        UsageError: the network has no segmenter.
        RunError: as `predict_density`.
    """
    frame = _Resized.of(image, geometry)
    [(density, mask_logits)] = blend_tiles(
        [frame.pixels], backend.density_and_mask, geometry, backend, batch_size=batch_size
    )
    return frame.prediction(density, mask_logits, backend.stride)


def count_many(
    backend: DensityBackend,
    images: Iterable[ImageLike],
    geometry: Geometry,
    *,
    batch_size: int = 1,
    reading: Reading = _READING,
    calibration: Calibration = UNCALIBRATED,
    scope: Scope = ANYTHING,
    on_error: Callable[[ImageLike, UsageError], None] | None = None,
) -> Iterator[CountResult]:
    """Yield one result per image (path, PIL image or uint8 RGB array), in order; at most 2 x batch_size are in memory.

    Images are decoded and resized in threads while the network works on those before; tiles of up to `batch_size`
    images share its calls where their sizes agree.

    Args:
        backend: the network.
        images: in their original resolution.
        geometry: how they are resized and cut.
        batch_size: images decoded ahead, and tiles per call of the network.
        reading: how image files are decoded.
        calibration: what is known of the errors.
        scope: what training saw; of images outside is warned (`CountResult.warnings`).
        on_error: called with an image that cannot be read and the reason; the image is then left out. Without it
            the error is raised after the results of the images before it.

    Raises:
        UsageError: an image cannot be read and `on_error` is not given; a batch size below 1.
        RunError: as in `predict_density`.
    """
    setup = Setup(backend, geometry, reading, calibration, scope)
    return count_each(((image, setup) for image in images), batch_size=batch_size, on_error=on_error)


def count_each(
    images: Iterable[tuple[ImageLike, Setup]],
    *,
    batch_size: int = 1,
    on_error: Callable[[ImageLike, UsageError], None] | None = None,
) -> Iterator[CountResult]:
    """Yield one result per image, in order, each counted as its own setup says: see `count_many`.

    Of the images that are decoded together those of one setup share calls of the network.
    """
    check_batch_size(batch_size)
    remaining = iter(images)
    with ThreadPoolExecutor(min(4, batch_size), "sam-mprompt-decode") as pool:

        def submit() -> list[_Submitted]:
            return [
                (image, setup, pool.submit(_Resized.read, image, setup.geometry, setup.reading, setup.scales))
                for image, setup in islice(remaining, batch_size)
            ]

        def work(setup: Setup, frames: list[_Resized]) -> list[Prediction]:
            return _densities(setup.backend, frames, setup.geometry, batch_size)

        coming = submit()
        while coming:
            current, coming = coming, submit()
            frames, failure = _collect(current, on_error)
            for (setup, frame), p in zip(frames, in_groups(frames, work), strict=True):
                known = setup.calibration, frame.warnings(p.density, setup.backend.stride, setup.scope)
                where = frame.path, *known, frame.original, setup.reading
                yield CountResult(p.density, None, p.image_size, p.cell, *where)
            if failure is not None:
                raise failure


def check_batch_size(batch_size: int) -> None:
    """Raise UsageError for anything but a whole number from 1 on."""
    if (
        isinstance(batch_size, bool)
        or not isinstance(batch_size, int | np.integer)
        or not (1 <= batch_size <= _LARGEST_BATCH)
    ):
        raise UsageError(f"batch_size: expected a whole number from 1 to {_LARGEST_BATCH}, got {batch_size!r}.")


@dataclass(frozen=True)
class _Resized:
    """An image resized for the network; its original's (height, width) and the ratios new/old of (x, y).

    `seen` are the sizes that the network is shown, where it is not `pixels` alone.
    """

    pixels: ByteImage
    size: tuple[int, int]
    ratio: tuple[float, float]
    path: Path | None = None
    original: ByteImage | None = None
    seen: tuple[ByteImage, ...] = ()

    @classmethod
    def of(cls, image: ByteImage, geometry: Geometry) -> "_Resized":
        pixels, ratio = resize_image(image, geometry)
        return cls(pixels, (image.shape[0], image.shape[1]), ratio)

    @classmethod
    def read(cls, image: ImageLike, geometry: Geometry, reading: Reading, scales: tuple[float, ...]) -> "_Resized":
        """Decode and resize; the original's pixels are kept only when there is no path to read them from again."""
        path = Path(image) if isinstance(image, str | PathLike) else None
        largest = scaled(geometry, max(1.0, *scales))
        found = as_decoded(image, reading, enough=partial(resized, geometry=largest))
        pixels, ratio = resize_image(found.pixels, geometry, found.size)
        original = found.pixels if path is None else None
        if scales == ONCE:
            return cls(pixels, found.size, ratio, path, original)
        seen = tuple(
            pixels if scale == 1 else resize_image(found.pixels, scaled(geometry, scale), found.size)[0]
            for scale in scales
        )
        return cls(pixels, found.size, ratio, path, original, seen)

    def warnings(self, density: FloatArray, stride: int, scope: Scope) -> tuple[str, ...]:
        """Say in which respects the image lies outside what training saw."""
        if not scope.ranges:
            return ()
        zoom = math.sqrt(self.ratio[0] * self.ratio[1])
        return scope.warnings(of_pixels(self.pixels, zoom) | of_heads(density, stride))

    def prediction(self, density: FloatArray, mask_logits: FloatArray | None, stride: int) -> Prediction:
        if not np.isfinite(density).all():
            name = self.path or "the image"
            raise RunError(f"The density of {name} holds NaN or infinity: expected finite heads. Count in float32.")
        ratio_x, ratio_y = self.ratio
        return Prediction(density, mask_logits, self.size, (stride / ratio_x, stride / ratio_y))


_Submitted = tuple[ImageLike, Setup, Future[_Resized]]


def _collect(
    submitted: Sequence[_Submitted], on_error: Callable[[ImageLike, UsageError], None] | None
) -> tuple[list[tuple[Setup, _Resized]], UsageError | None]:
    """Return the frames up to the first one that cannot be read, and its error; with `on_error`, all readable ones."""
    frames = []
    for image, setup, future in submitted:
        try:
            frames.append((setup, future.result()))
        except UsageError as error:
            if on_error is None:
                return frames, error
            on_error(image, error)
    return frames, None


def _densities(
    backend: DensityBackend, frames: Sequence[_Resized], geometry: Geometry, batch_size: int
) -> list[Prediction]:
    def forward(tiles: FloatArray) -> FloatArray:
        return backend.density(tiles)[:, None]

    seen = [frame.seen or (frame.pixels,) for frame in frames]
    flat = [pixels for several in seen for pixels in several]
    maps = iter(blend_tiles(flat, forward, geometry, backend, batch_size=batch_size))
    found = []
    for frame, several in zip(frames, seen, strict=True):
        own = [(next(maps)[0], pixels.shape[:2]) for pixels in several]
        density = mean_density(own, frame.pixels.shape[:2], stride=backend.stride)
        found.append(frame.prediction(density, None, backend.stride))
    return found
