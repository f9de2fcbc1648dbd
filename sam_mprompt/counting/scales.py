"""An image seen at several sizes, and the mean of its densities. Free of torch."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..arrays import FloatArray
from ..errors import UsageError
from ..geometry import Geometry

ONCE = (1.0,)
"""The size that the adapter was trained for, alone."""

_LEAST, _MOST, _NUMBER = 0.25, 4.0, 8


def checked_scales(scales: Iterable[float | str]) -> tuple[float, ...]:
    """Return factors of an image's size as numbers.

    Raises:
        UsageError: none or more than 8 of them, one outside 0.25 to 4, or one twice.
    """
    try:
        found = tuple(float(scale) for scale in scales)
    except (TypeError, ValueError):
        found = ()
    different = 1 <= len(found) <= _NUMBER and len(set(found)) == len(found)
    if not different or not all(_LEAST <= scale <= _MOST for scale in found):
        raise UsageError(
            f"scales: expected 1 to {_NUMBER} different numbers from {_LEAST:g} to {_MOST:g}, such as 0.8, 1 and 1.25, "
            f"got {scales!r}."
        )
    return found


def scaled(geometry: Geometry, scale: float) -> Geometry:
    """Return a geometry that brings each image to `scale` times its size; tiles stay."""
    sides = {name: max(1, round(getattr(geometry, name) * scale)) for name in ("min_side", "max_side")}
    return replace(geometry, scale=geometry.scale * scale, **sides)


def mean_density(
    densities: Sequence[tuple[FloatArray, tuple[int, int]]], size: tuple[int, int], *, stride: int
) -> FloatArray:
    """Return the mean of densities of one image at several sizes, on the cells of one size; it keeps their mean count.

    Args:
        densities: each float (ceil(H / stride), ceil(W / stride)), heads per cell, and the (H, W) of its pixels.
        size: (height, width) in pixels whose cells are wanted.
        stride: pixels per side of a cell.
    """
    moved = [_moved(density, own, size, stride) for density, own in densities]
    return moved[0] if len(moved) == 1 else np.asarray(np.mean(moved, axis=0, dtype=np.float64), np.float32)


def _moved(density: FloatArray, size: tuple[int, int], wanted: tuple[int, int], stride: int) -> FloatArray:
    """Spread each cell's heads over the cells of the wanted size that it covers."""
    if size == wanted:
        return density
    rows, columns = (_shares(own, other, stride) for own, other in zip(size, wanted, strict=True))
    return (rows @ density.astype(np.float64) @ columns.T).astype(np.float32)


def _shares(own: int, wanted: int, stride: int) -> NDArray[np.float64]:
    """Return (cells of `wanted` pixels, cells of `own`): which share of a cell lies in which; columns sum to one."""
    ends, wanted_ends = (
        np.minimum(np.arange(cells + 1) * stride, side) / side
        for side, cells in ((own, math.ceil(own / stride)), (wanted, math.ceil(wanted / stride)))
    )
    upper = np.minimum(wanted_ends[1:, None], ends[None, 1:])
    lower = np.maximum(wanted_ends[:-1, None], ends[None, :-1])
    shares: NDArray[np.float64] = np.maximum(upper - lower, 0)
    return shares / shares.sum(axis=0)
