"""Which share of each cell of a grid a shape covers, exactly: its area, not samples of it.

A shape is what some polygons cover together without what others cover. It is cut into horizontal slabs at every corner
and at every crossing of two edges: inside a slab no edges cross, so that it holds trapezoids, whose parts in each cell
are summed as font rasterisers do it (signed areas to the right of an edge).
"""

from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Mask
from ..errors import UsageError

Ring = NDArray[np.float64]
"""Corners (N, 2) as (x, y) of a closed line; the first is not repeated at the end."""

Polygon = tuple[Ring, ...]
"""An outline and its holes, in any direction: inside is what an odd number of its rings enclose."""

_PIECES = 1 << 20  # of edges that are summed at once
_PAIRS = 1 << 20  # of edges that are compared at once
_TOUCHING = 1e-9  # of an edge's length
_ROUNDING = 1e-12  # of a cell
_MOST_CROSSINGS = 20_000  # of outlines; the time of a coverage grows with them


class Crossing(NamedTuple):
    """Where two edges cross."""

    x: float
    y: float


def area(polygon: Polygon) -> float:
    """Return a polygon's area, its holes left out, in the square of its own unit."""
    outline, *holes = (abs(_signed_area(ring)) for ring in polygon)
    return outline - sum(holes)


def _signed_area(ring: Ring) -> float:
    x, y = (ring - ring[0]).T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def crossings(rings: Sequence[Ring]) -> Iterator[Crossing]:
    """Yield where two edges of some rings cross; those that only touch, or lie on each other, do not."""
    edges = np.concatenate([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in rings])
    low, high = np.minimum(edges[:, :2], edges[:, 2:]), np.maximum(edges[:, :2], edges[:, 2:])
    step = max(1, _PAIRS // len(edges))
    for start in range(0, len(edges), step):
        part = slice(start, start + step)
        near = (low[part, None] < high[None]).all(axis=2) & (low[None] < high[part, None]).all(axis=2)
        first, second = np.nonzero(near)
        first += start
        once = first < second
        first, second = first[once], second[once]
        at, along, crossed = _meeting(edges[first], edges[second])
        for i in np.flatnonzero(crossed & (at > _TOUCHING) & (at < 1 - _TOUCHING)):
            if _TOUCHING < along[i] < 1 - _TOUCHING:
                x, y = edges[first[i], :2] + at[i] * (edges[first[i], 2:] - edges[first[i], :2])
                yield Crossing(float(x), float(y))


def _meeting(
    one: NDArray[np.float64], other: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Mask]:
    """Return where on each of two edges their lines meet, as shares of their lengths, and whether they do."""
    (ax, ay), (bx, by) = (one[:, 2:] - one[:, :2]).T, (other[:, 2:] - other[:, :2]).T
    dx, dy = (other[:, :2] - one[:, :2]).T
    cross = ax * by - ay * bx
    meets = cross != 0
    safe = np.where(meets, cross, 1)
    return (dx * by - dy * bx) / safe, (dx * ay - dy * ax) / safe, meets


def contains(polygons: Sequence[Polygon], points: NDArray[np.floating]) -> Mask:
    """Return bool (N,): which points (N, 2) lie inside one of the polygons."""
    found = np.zeros(len(points), np.bool_)
    for polygon in polygons:
        inside = np.zeros(len(points), np.bool_)
        for ring in polygon:
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if y0 == y1:
                    continue
                between = (points[:, 1] >= min(y0, y1)) & (points[:, 1] < max(y0, y1))
                inside ^= between & (points[:, 0] < x0 + (points[:, 1] - y0) * ((x1 - x0) / (y1 - y0)))
        found |= inside
    return found


def coverage(
    grid: tuple[int, int], polygons: Sequence[Polygon], without: Sequence[Polygon] = ()
) -> NDArray[np.float64]:
    """Return float64 (rows, columns) in [0, 1]: how much of each cell some polygons cover together.

    Args:
        grid: (rows, columns); cell (i, j) covers [j, j + 1) x [i, i + 1), in which the polygons are given. They may
            reach beyond the grid, and overlap.
        polygons: what is covered.
        without: what is not, though the polygons cover it.

    The error is that of float64.

    Raises:
        UsageError: more than 20,000 crossings of edges.
    """
    sums = _Sums(grid)
    pieces: list[NDArray[np.float64]] = []
    held = 0
    for piece in _trapezoid_sides(grid[0], polygons, without):
        pieces.append(piece)
        held += len(piece)
        if held >= _PIECES:
            sums.add(np.concatenate(pieces))
            pieces, held = [], 0
    if pieces:
        sums.add(np.concatenate(pieces))
    return sums.shares()


def _trapezoid_sides(
    rows: int, polygons: Sequence[Polygon], without: Sequence[Polygon]
) -> Iterator[NDArray[np.float64]]:
    """Yield the sides of a shape's trapezoids (N, 5): x and y at the top, x and y at the bottom, 1 left or -1 right."""
    members = (*polygons, *without)
    rings = [ring for polygon in members for ring in polygon]
    if not rings:
        return
    edges = np.concatenate([np.hstack([ring, np.roll(ring, -1, axis=0)]) for ring in rings])
    owner = np.concatenate([np.full(len(ring), i) for i, polygon in enumerate(members) for ring in polygon])
    turned = edges[:, 1] > edges[:, 3]
    edges[turned] = edges[turned][:, [2, 3, 0, 1]]
    crossed = [found.y for found in islice(crossings(rings), _MOST_CROSSINGS + 1)]
    if len(crossed) > _MOST_CROSSINGS:
        raise UsageError(f"Expected outlines that cross each other at most {_MOST_CROSSINGS} times, got more.")
    levels = np.concatenate([edges[:, 1], edges[:, 3], crossed, [0, rows]])
    levels = np.unique(levels[(levels >= 0) & (levels <= rows)])
    slopes = (edges[:, 2] - edges[:, 0]) / np.where(edges[:, 3] > edges[:, 1], edges[:, 3] - edges[:, 1], 1)
    for top, bottom in pairwise(levels):
        active = np.flatnonzero((edges[:, 1] <= top) & (edges[:, 3] >= bottom))
        if not len(active):
            continue
        at_top, at_bottom = (edges[active, 0] + (level - edges[active, 1]) * slopes[active] for level in (top, bottom))
        order = np.argsort(at_top + at_bottom, kind="stable")
        inside = _inside(owner[active][order], len(polygons))
        change = np.diff(inside.astype(np.float64), prepend=0)
        sides = order[change != 0]
        level = np.ones(len(sides))
        yield np.column_stack([at_top[sides], top * level, at_bottom[sides], bottom * level, change[change != 0]])


def _inside(owners: NDArray[np.intp], covering: int) -> Mask:
    """Return whether a shape lies to the right of each edge in a row; owners from number `covering` on bar it."""
    own, number = np.unique(owners, return_inverse=True)
    crossed = np.zeros((len(owners), len(own)), np.bool_)
    crossed[np.arange(len(owners)), number] = True
    odd = np.logical_xor.accumulate(crossed, axis=0)
    covered = odd[:, own < covering].any(axis=1)
    barred = odd[:, own >= covering].any(axis=1)
    return np.asarray(covered & ~barred)


class _Sums:
    """The areas to the right of edges, in the cells of a grid."""

    def __init__(self, grid: tuple[int, int]) -> None:
        self.grid = grid
        self.height, self.moment = (np.zeros(grid[0] * grid[1]) for _ in range(2))

    def add(self, sides: NDArray[np.float64]) -> None:
        """Add sides (N, 5), none of which reaches beyond the first or last row."""
        rows, columns = self.grid
        top_x, top_y, bottom_x, bottom_y, sign = sides.T
        side, low, high = _cut(top_y, bottom_y, rows)  # each row of cells holds one part of a side
        slope = ((bottom_x - top_x) / (bottom_y - top_y))[side]
        start, end = (top_x[side] + (y - top_y[side]) * slope for y in (low, high))
        row = np.clip(np.floor((low + high) / 2), 0, rows - 1).astype(np.intp)
        signed = (high - low) * sign[side]
        part, left, right = _cut(np.minimum(start, end), np.maximum(start, end), columns)
        width = np.abs(end - start)[part]
        signed, row = signed[part] * np.where(width > 0, (right - left) / np.where(width > 0, width, 1), 1), row[part]
        middle = np.maximum((left + right) / 2, 0)  # what lies left of the grid covers it as its border would
        kept = middle < columns
        column = np.floor(middle[kept]).astype(np.intp)
        cell = row[kept] * columns + column
        self.height += np.bincount(cell, signed[kept], minlength=rows * columns)
        self.moment += np.bincount(cell, signed[kept] * (middle[kept] - column), minlength=rows * columns)

    def shares(self) -> NDArray[np.float64]:
        """Return the share of each cell that is covered."""
        heights = self.height.reshape(self.grid).cumsum(axis=1)
        covered = np.clip(heights - self.moment.reshape(self.grid), 0, 1)
        covered[covered < _ROUNDING] = 0
        return covered


def _cut(
    low: NDArray[np.float64], high: NDArray[np.float64], last: int
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Cut intervals at the whole numbers from 0 to `last`; return which one each part is of, and its ends."""
    first = np.clip(np.floor(low) + 1, 0, last + 1)
    cuts = np.maximum(np.clip(np.ceil(high) - 1, -1, last) - first + 1, 0).astype(np.intp)
    whole = np.repeat(np.arange(len(low)), cuts + 1)
    number = np.arange(len(whole)) - np.repeat(np.cumsum(cuts + 1) - (cuts + 1), cuts + 1)
    left = np.where(number == 0, low[whole], first[whole] + number - 1)
    right = np.where(number == cuts[whole], high[whole], first[whole] + number)
    return whole, left, right
