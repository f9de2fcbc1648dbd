"""What counting one image gives."""

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np
from PIL import Image

from ..arrays import ByteImage, FloatArray
from ..data.image import as_rgb, read_image
from ..errors import UsageError
from ..render import overlay
from .locate import locate_heads

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
        """
        height, width = self.image_size
        points = locate_heads(self.density, threshold) * np.asarray(self.cell, np.float32)
        # The last cells may reach beyond the image; pixel i covers [i, i + 1).
        return np.minimum(points, np.nextafter(np.asarray((width, height), np.float32), np.float32(0)))


@dataclass(frozen=True, eq=False)
class CountResult(Prediction):
    """The density of one image, and the image it belongs to.

    Attributes:
        image: path of the image, or None when it was given as pixels.
    """

    image: Path | None = None
    _pixels: ByteImage | None = field(default=None, repr=False)

    def overlay(self, image: ImageLike | None = None, *, points: bool = False) -> ByteImage:
        """Return uint8 RGB (H, W, 3): the image under its density, captioned with the count.

        The image is the one that was counted (read again from its path) unless another is given; `points` marks the
        head locations too. Raises UsageError when the file has gone.
        """
        if image is not None:
            pixels = as_rgb(image)
        elif self._pixels is not None:
            pixels = self._pixels
        elif self.image is not None:
            pixels = read_image(self.image)
        else:
            raise UsageError("This result keeps no image: expected overlay(image=...).")
        return overlay(pixels, self.density, self.count, points=self.points() if points else None)
