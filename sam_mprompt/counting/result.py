"""What counting one image gives."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..arrays import ByteImage, FloatArray
from ..data.bounds import Reading, any_size
from ..data.image import as_rgb, read_image
from ..errors import RunError, UsageError
from ..render import draw_regions, overlay
from .detections import detections
from .intervals import LEVEL, UNCALIBRATED, Calibration, Interval
from .locate import locate_heads
from .region import Region
from .regions import PlacedRegions, RegionCounts, Regions

_FEW = 1000
"""Heads that are located even where there are fewer pixels."""

OF_PARTS = "counts leave out ignore zones, and the errors that are known are those of whole images"
"""Why there is no interval where something is ignored."""

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

    def regions(self, regions: Regions | Iterable[Region]) -> RegionCounts:
        """Return how many heads are in each of some regions, elsewhere, and in ignore zones.

        Mass is taken to lie evenly in its cell; a cell at an outline is divided by the area on either side, exactly.
        Regions, those of `read_regions` or a list, are placed on the cells once for images of one size where the same
        `Regions` are given again. Of regions that name an image, those of this one are counted.

        Raises:
            UsageError: a region lies outside the image, was drawn in another one, or two have the same name.
        """
        return self._placed(regions).counts(self.density)

    def points_outside(self, regions: Regions | Iterable[Region]) -> FloatArray:
        """Return the head locations of `points` that lie in no ignore zone. Raises UsageError as `regions`."""
        points = self.points()
        return points[self._placed(regions).kept(points)]

    def without_ignored(self, regions: Regions | Iterable[Region]) -> "CountResult":
        """Return what is left without what lies in ignore zones: count, density and points, and no interval.

        An interval is that of the whole image. Raises UsageError as `regions`.
        """
        placed = self._placed(regions)
        if placed.ignored is None:
            return self
        mask = self.mask_logits
        if mask is not None:
            mask = np.where(placed.ignored > 0.5, np.float32(-np.inf), mask)
        density = placed.without_ignored(self.density)
        return replace(self, density=density, mask_logits=mask, calibration=Calibration(missing=OF_PARTS))

    def _placed(self, regions: Regions | Iterable[Region]) -> PlacedRegions:
        known = regions if isinstance(regions, Regions) else Regions(regions)
        rows, columns = self.density.shape
        return known.placed(self.image_size, (rows, columns), self.cell, self.image)

    def overlay(
        self,
        image: ImageLike | None = None,
        *,
        points: bool = False,
        level: float = LEVEL,
        regions: Regions | Iterable[Region] | None = None,
    ) -> ByteImage:
        """Return uint8 RGB (H, W, 3): the image under its density, captioned with the count and, if any, its interval.

        The image is the one that was counted (read again from its path) unless another is given; `points` marks the
        head locations too, `regions` are outlined, with their names and counts, and what they ignore is hatched. It has
        the picture's own size, unless that is above the limit and the file is a JPEG: then it is a smaller copy. Raises
        UsageError when the file has gone, and as `regions` does.
        """
        if image is not None:
            pixels = as_rgb(image)
        elif self._pixels is not None:
            pixels = self._pixels
        elif self.image is not None:
            pixels = read_image(self.image, self._reading, enough=any_size)
        else:
            raise UsageError("This result keeps no image: expected overlay(image=...).")
        height, width = self.image_size  # the pixels may be a smaller copy
        ratio = (pixels.shape[1] / width, pixels.shape[0] / height)
        placed = None if regions is None else self._placed(regions)
        heads = None
        if points:
            found = self.points()
            heads = (found if placed is None else found[placed.kept(found)]) * np.array(ratio, np.float32)
        interval = self.interval(level)
        error = None if interval is None else str(interval)
        if placed is None:
            return overlay(pixels, self.density, self.count, points=heads, error=error)
        counts = placed.counts(self.density)
        picture = overlay(pixels, placed.without_ignored(self.density), None, points=heads)
        return draw_regions(picture, placed.outlines(counts, ratio), counts.heading(error))
