"""What counting one image gives."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import ByteImage, FloatArray
from ..data.bounds import Reading, any_size
from ..data.image import as_rgb, read_image
from ..errors import RunError, UsageError
from ..render import overlay
from .detections import detections
from .intervals import LEVEL, UNCALIBRATED, Calibration, Interval
from .locate import locate_heads

_FEW = 1000
"""Heads that are located even where there are fewer pixels."""

ImageLike = str | PathLike[str] | Image.Image | ByteImage
"""A path, a PIL image or uint8 RGB pixels (H, W, 3)."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The density of one image.

    Attributes:
        count: the number of heads: the density's sum.
        density: float32 (h, w), heads in each cell.
        mask_logits: float32 (h, w), or None when the model has no segmenter.
        image_size: (height, width) of the original image in pixels.
        cell: (x, y) size of a cell in pixels of the original image.
    """

    count: float = field(init=False)
    density: FloatArray = field(repr=False)
    mask_logits: FloatArray | None = field(repr=False)
    image_size: tuple[int, int]
    cell: tuple[float, float] = field(repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", float(self.density.sum(dtype=np.float64)))

    def points(self, threshold: float = 0.0) -> FloatArray:
        """Return float32 (N, 2): head locations (x, y) in pixels of the original image, N = round(count).

        `threshold` in [0, 1] leaves out locations with less mass than that around them: see `locate_heads`.

        Raises:
            UsageError: another threshold.
            RunError: the count is no number, or there are more heads than pixels: the density is none of people.
        """
        if not isinstance(threshold, int | float | np.floating) or not 0 <= threshold <= 1:
            raise UsageError(f"Expected a threshold from 0 to 1, got {threshold!r}.")
        height, width = self.image_size
        if not -0.5 <= self.count <= max(height * width, _FEW):
            raise RunError(f"Expected at most a head in each of {width}x{height} pixels, got a count of {self.count}.")
        points = locate_heads(self.density, threshold) * np.asarray(self.cell, np.float32)
        # The last cells may reach beyond the image; pixel i covers [i, i + 1).
        return np.minimum(points, np.nextafter(np.asarray((width, height), np.float32), np.float32(0)))

    def to_supervision(self, threshold: float = 0.0) -> Any:
        """Return the heads as `supervision.Detections`: `points` as the middles of squares.

        The class is 0, its name "head"; how large the squares are says `data.head_boxes.nominal_boxes`.

        Raises:
            UsageError: the package `supervision` is not installed.
        """
        return detections(self.points(threshold), self.image_size)


@dataclass(frozen=True, eq=False)
class CountResult(Prediction):
    """The density of one image, and the image it belongs to.

    Attributes:
        image: path of the image, or None when it was given as pixels.
        calibration: what is known of the counter's errors.
        warnings: in which respects the image lies outside what training saw, a clause each: expect a wrong count.
    """

    image: Path | None = None
    calibration: Calibration = field(default=UNCALIBRATED, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)
    _pixels: ByteImage | None = field(default=None, repr=False)
    _reading: Reading = field(default=Reading(reduced=True), repr=False)

    def interval(self, level: float = LEVEL) -> Interval | None:
        """Return where the true number of heads lies, for the share `level` of images at least; None without one.

        What it means and what not: `Calibration`. `why_no_interval` says why there is none.

        Raises:
            UsageError: the level is not between 0 and 1.
        """
        return self.calibration.interval(self.count, level)

    def why_no_interval(self, level: float = LEVEL) -> str | None:
        """Return why there is no interval of that level, None where there is one."""
        return self.calibration.why_not(level)

    def overlay(self, image: ImageLike | None = None, *, points: bool = False, level: float = LEVEL) -> ByteImage:
        """Return uint8 RGB (H, W, 3): the image under its density, captioned with the count and, if any, its interval.

        The image is the one that was counted (read again from its path) unless another is given; `points` marks the
        head locations too. It has the picture's own size, unless that is above the limit and the file is a JPEG: then
        it is a smaller copy. Raises UsageError when the file has gone.
        """
        if image is not None:
            pixels = as_rgb(image)
        elif self._pixels is not None:
            pixels = self._pixels
        elif self.image is not None:
            pixels = read_image(self.image, self._reading, enough=any_size)
        else:
            raise UsageError("This result keeps no image: expected overlay(image=...).")
        heads = None
        if points:
            height, width = self.image_size  # the pixels may be a smaller copy
            heads = self.points() * np.array([pixels.shape[1] / width, pixels.shape[0] / height], np.float32)
        interval = self.interval(level)
        return overlay(
            pixels, self.density, self.count, points=heads, error=None if interval is None else str(interval)
        )
