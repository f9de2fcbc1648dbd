"""From a density to head locations."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray

# All in cells. The score is a narrow Gaussian, so that neighbours in a dense crowd stay apart; a head gathers its mass
# from no farther than the reach.
_SCORE_SIGMA = 0.5
_SCORE_RADIUS = 2
_SCORE_KERNEL = cv2.getGaussianKernel(2 * _SCORE_RADIUS + 1, _SCORE_SIGMA, cv2.CV_64F)
_REACH = 6
_MARGIN = _REACH + 2 * _SCORE_RADIUS
_LEAST = 1e-300  # that a ring's mass is divided by: of an empty one any share is nothing

_Rings = list[tuple[NDArray[np.intp], NDArray[np.intp]]]


def _rings() -> _Rings:
    """Return (rows, columns) offsets of the cells at rounded distance 0, 1, ... up to the reach."""
    rows, columns = np.mgrid[-_REACH : _REACH + 1, -_REACH : _REACH + 1]
    distance = np.rint(np.hypot(rows, columns))
    return [(rows[distance == ring], columns[distance == ring]) for ring in range(_REACH + 1)]


def locate_heads(density: FloatArray, threshold: float = 0.0) -> FloatArray:
    """Return float32 (N, 2): head locations (x, y) in cells (cell i covers [i, i + 1)), most certain first.

    Heads are taken one at a time, round(sum) of them: the highest local maximum of the slightly smoothed density is a
    head; it takes one unit of mass from the cells around it, ring after ring, and lies at the centroid of what it took;
    what is left shows the next one. Unlike plain local maxima, which merge in a dense crowd, this finds as many
    locations as there are heads.

    Args:
        density: (h, w), non-negative, sums to heads.
        threshold: in [0, 1]; leave out locations that could gather less mass than this within six cells (thin
            background density rather than a head).
    """
    left = np.pad(density.astype(np.float64), _MARGIN)
    score = _smooth(left)
    points = np.empty((round(float(density.sum(dtype=np.float64))), 2), np.float32)
    mass = np.empty(len(points))
    rings = _rings()
    for i in range(len(points)):
        row, column = divmod(int(score.argmax()), score.shape[1])
        mass[i], points[i] = _take_one(left, row, column, rings)
        # Only scores whose window met a changed cell change; the window itself needs a further radius of cells.
        near = _REACH + _SCORE_RADIUS
        area = (slice(row - near, row + near + 1), slice(column - near, column + near + 1))
        score[area] = _smooth(left[row - _MARGIN : row + _MARGIN + 1, column - _MARGIN : column + _MARGIN + 1])[
            _SCORE_RADIUS:-_SCORE_RADIUS, _SCORE_RADIUS:-_SCORE_RADIUS
        ]
    return points[mass >= threshold] - np.float32(_MARGIN)


def _smooth(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(cv2.sepFilter2D(mass, cv2.CV_64F, _SCORE_KERNEL, _SCORE_KERNEL))


def _take_one(left: NDArray[np.float64], row: int, column: int, rings: _Rings) -> tuple[float, tuple[float, float]]:
    """Remove up to one head around a cell, nearest cells first; return (mass taken, its centroid as x, y)."""
    total = x = y = 0.0
    for rows, columns in rings:
        cells = (row + rows, column + columns)
        found = left[cells]
        available = float(found.sum())
        share = min(1.0, (1.0 - total) / max(available, _LEAST))
        taken = share * found
        left[cells] = found - taken
        total += share * available
        y += float(taken @ cells[0])
        x += float(taken @ cells[1])
        if share < 1.0:  # the head is whole
            break
    return total, (x / total + 0.5, y / total + 0.5)
