"""A box for each head, for tools that know no points."""

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray
from ..targets import context_radius

_NEIGHBOURS = 3
_OF_RADIUS = 0.25  # half a side, of the distance to the third nearest head
_LEAST, _MOST_OF_SIDE = 4.0, 1 / 40  # half a side: pixels, and share of the image's longer side
_POINT = 0.5  # half a pixel: what is left of a box at the very edge


def nominal_boxes(points: FloatArray | NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return float64 (N, 4), (x1, y1, x2, y2): a square with each head (x, y) in its middle.

    Half a side is a quarter of the distance to the third nearest head, from 4 pixels to a fortieth of the longer side
    of the image (height, width), which is also taken where there are fewer than four heads; at the image's edge less,
    so that the box lies inside and the head stays the middle.
    """
    places = points.astype(np.float64)
    most = max(_LEAST, max(size) * _MOST_OF_SIDE)
    if len(np.unique(places, axis=0)) > _NEIGHBOURS:
        half = np.clip(_OF_RADIUS * context_radius(points.astype(np.float32), k=_NEIGHBOURS), _LEAST, most)
    else:
        half = np.full(len(places), most)
    return _around(places, np.repeat(half[:, None], 2, axis=1), size)


def paired_boxes(
    points: NDArray[np.float64], boxes: FloatArray | None, size: tuple[int, int]
) -> NDArray[np.float64] | None:
    """Return the boxes moved so that each has its head in the middle; None where they are not those of the heads.

    They are where there are as many of both and each head lies in its box. In an image of `size` (height, width) a box
    may shrink at the edge.
    """
    if boxes is None or len(boxes) != len(points):
        return None
    given = boxes.astype(np.float64)
    if not ((points >= given[:, :2] - 1) & (points <= given[:, 2:] + 1)).all():
        return None
    return _around(points, (given[:, 2:] - given[:, :2]) / 2, size)


def _around(points: NDArray[np.float64], half: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    room = np.minimum(points, np.array(size[::-1]) - points)
    half = np.maximum(np.minimum(half, room), _POINT)
    return np.hstack([points - half, points + half])
