"""What a training sees, measured on its images, so that counting can tell what lies outside."""

from math import sqrt

import numpy as np

from ..adapter.scope_file import RangeRecord, ScopeFile
from ..counting.scope import Scope, heads_per_cell, of_heads, of_pixels
from ..data.sources import Source
from ..geometry import Geometry, resize_image

MOST = 200
"""Images that are looked at, spread evenly over the source."""


def scope_of(source: Source, geometry: Geometry, stride: int) -> ScopeFile:
    """Measure the training images as they will be counted: whole and resized, not cropped or augmented.

    Args:
        source: annotated images.
        geometry: how they are resized.
        stride: pixels of a density cell.

    Raises:
        UsageError: an image can't be read.
    """
    seen = []
    for index in np.unique(np.linspace(0, len(source) - 1, min(MOST, len(source))).round().astype(int)):
        image, points = source.original(int(index))
        pixels, ratio = resize_image(image, geometry)
        cells = heads_per_cell(points * np.array(ratio, np.float32), (pixels.shape[0], pixels.shape[1]), stride)
        seen.append(of_pixels(pixels, sqrt(ratio[0] * ratio[1])) | of_heads(cells, stride))
    ranges = {name: RangeRecord(**vars(own)) for name, own in Scope.fit(seen).ranges.items()}
    return ScopeFile(images=len(seen), ranges=ranges)
