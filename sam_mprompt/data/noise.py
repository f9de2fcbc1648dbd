"""Annotations as a hasty annotator makes them (paper section 4, Fig. 8): the same heads, a little beside.

`noise` is 0 to 1; the paper goes to 0.5. The numbers that are drawn do not depend on it: more noise is the same error,
larger. Number and order of heads stay, and everything stays in the image of `size` (height, width).
"""

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray

_NEAR = 8  # boxes whose centres are nearest to a point and that may be its own


def disturbed_points(
    points: NDArray[np.floating],
    boxes: NDArray[np.floating],
    size: tuple[int, int],
    noise: float,
    rng: np.random.Generator,
) -> FloatArray:
    """Move each point (x, y) by the share `noise` of the way to a uniform place in its head's box; (N, 2), (N, 4)."""
    within = boxes[:, :2] + rng.random(points.shape) * (boxes[:, 2:] - boxes[:, :2])
    moved = (points + noise * (within - points)).astype(np.float32)
    return np.clip(moved, 0, np.nextafter(np.array(size[::-1], np.float32), np.float32(0)))


def disturbed_boxes(
    boxes: NDArray[np.floating], size: tuple[int, int], noise: float, rng: np.random.Generator
) -> FloatArray:
    """Move each side of each box (x1, y1, x2, y2) by up to `noise` of the box's height; it stays a pixel wide."""
    shift = noise * rng.uniform(-1, 1, boxes.shape) * (boxes[:, 3:] - boxes[:, 1:2])
    sides = np.sort((boxes + shift).reshape(-1, 2, 2), axis=1)  # sides that crossed swap their names
    limits = np.array(size[::-1], np.float32)
    low = np.clip(sides[:, 0], 0, limits - 1)
    high = np.clip(sides[:, 1], low + 1, limits)
    return np.concatenate([low, high], axis=1).astype(np.float32)


def heads_of(points: FloatArray, boxes: FloatArray | None, *, radius: float) -> FloatArray:
    """Return a box per point, (N, 4): its own where the boxes have one around it, else a square of `radius`.

    As many boxes as points are in the points' order. Of more or fewer, a point's own is, of the ones around it, that of
    the nearest centre, looked for among the `_NEAR` nearest.
    """
    squares = np.concatenate([points - radius, points + radius], axis=1)
    if boxes is None or len(boxes) == 0:
        return squares
    if len(boxes) != len(points):
        ranks = range(1, min(_NEAR, len(boxes)) + 1)
        from scipy.spatial import cKDTree

        near = boxes[cKDTree((boxes[:, :2] + boxes[:, 2:]) / 2).query(points, ranks)[1]]
        first = _around(near, points[:, None]).argmax(1)
        boxes = near[np.arange(len(points)), first]
    return np.where(_around(boxes, points)[:, None], boxes, squares)


def _around(boxes: FloatArray, points: FloatArray) -> NDArray[np.bool_]:
    """Whether boxes (..., 4) hold points (..., 2)."""
    held: NDArray[np.bool_] = np.all((boxes[..., :2] <= points) & (points <= boxes[..., 2:]), axis=-1)
    return held
