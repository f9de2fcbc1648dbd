"""Counting targets: points and boxes become a density map, a pseudo mask and a context mask.

Every function takes coordinates in pixels of one frame (a crop) and returns arrays on the cells of that frame, a cell
being `stride` x `stride` pixels. Frames whose sides are no multiple of the stride have a last, partial cell.
"""

import math

import numpy as np
from numpy.typing import NDArray

from .arrays import FloatArray, Mask

_OUTLIER_RATIO = 2.0
_FEW_REACH = 60.0
"""Pixels, four kernels of the paper's density: the longest context where there are too few heads to say."""
_DISCS = 4096
"""Discs that are drawn at once, which bounds the memory."""


def inside(points: FloatArray, size: tuple[int, int]) -> Mask:
    """Return bool (N,): which (x, y) points lie in the frame of (height, width) pixels, 0 <= x < width."""
    height, width = size
    kept: Mask = np.all((points >= 0) & (points < (width, height)), axis=1)
    return kept


def grid_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Return (rows, columns) of cells that cover a frame of (height, width) pixels."""
    return math.ceil(size[0] / stride), math.ceil(size[1] / stride)


def density_map(
    points: FloatArray, size: tuple[int, int], *, stride: int = 1, sigma: float = 4.0, kernel_size: int = 15
) -> FloatArray:
    """Return float32 (ceil(H/stride), ceil(W/stride)): Gaussians that sum to the number of heads inside the frame.

    Every head inside the frame contributes exactly 1, also at the border: its kernel of `kernel_size` x `kernel_size`
    pixels and standard deviation `sigma` pixels is cut at the frame and renormalised. Heads outside contribute nothing.

    Args:
        points: (N, 2) as (x, y) pixels; pixel i covers [i, i + 1).
        size: (height, width) of the frame in pixels.
        stride: pixels per cell; a cell holds the heads of its pixels.
        sigma: standard deviation in pixels.
        kernel_size: odd side of the kernel's support in pixels.
    """
    rows, columns = grid_size(size, stride)
    points = points[inside(points, size)]
    x_cells, x_weights = _axis_weights(points[:, 0], size[1], stride, sigma, kernel_size)
    y_cells, y_weights = _axis_weights(points[:, 1], size[0], stride, sigma, kernel_size)
    # A Gaussian is separable, and so is its renormalisation at a frame's border: one outer product a head.
    patches = y_weights[:, :, None] * x_weights[:, None, :]
    flat = y_cells[:, :, None] * columns + x_cells[:, None, :]
    density = np.bincount(flat.ravel(), patches.ravel(), minlength=rows * columns).reshape(rows, columns)
    return density.astype(np.float32)


def _axis_weights(
    coordinate: NDArray[np.floating], length: int, stride: int, sigma: float, kernel_size: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return cell indices and weights, both (N, kernel_size), of each head along one axis; weights sum to 1."""
    offsets = np.arange(kernel_size) - kernel_size // 2
    pixels = np.floor(coordinate).astype(np.intp)[:, None] + offsets
    weights = np.exp(-((pixels + 0.5 - coordinate.astype(np.float64)[:, None]) ** 2) / (2 * sigma**2))
    weights[(pixels < 0) | (pixels >= length)] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.clip(pixels, 0, length - 1) // stride, weights


def point_mask(points: FloatArray, size: tuple[int, int], *, dilation: int, stride: int = 1) -> Mask:
    """Return bool (ceil(H/stride), ceil(W/stride)): cells whose centre is within `dilation` pixels of a head.

    A head's own cell is always on, so that no head disappears at a coarse stride. Source: paper section 3.1 (dilated
    point map).
    """
    return disc_mask(points, np.full(len(points), float(dilation)), size, stride=stride)


def box_mask(boxes: FloatArray, size: tuple[int, int], *, stride: int = 1) -> Mask:
    """Return bool (ceil(H/stride), ceil(W/stride)): cells whose centre lies in a (x1, y1, x2, y2) box in pixels.

    A box between two centres still marks the cell it is in; parts outside the frame are cut.
    Source: paper section 3.1 (box pseudo mask).
    """
    height, width = size
    mask = np.zeros(grid_size(size, stride), np.bool_)
    for x1, y1, x2, y2 in boxes:
        if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height:
            continue
        top, bottom = _cells_between(y1, y2, mask.shape[0], stride)
        left, right = _cells_between(x1, x2, mask.shape[1], stride)
        mask[top:bottom, left:right] = True
    return mask


def _cells_between(low: float, high: float, cells: int, stride: int) -> tuple[int, int]:
    first = math.ceil(low / stride - 0.5)
    last = math.floor(high / stride - 0.5) + 1
    if last <= first:
        first = int((low + high) / 2 / stride)
    first = min(max(first, 0), cells - 1)
    return first, min(max(last, first + 1), cells)


def context_mask(points: FloatArray, size: tuple[int, int], *, k: int = 3, stride: int = 1) -> Mask:
    """Return bool (ceil(H/stride), ceil(W/stride)): for each head the disc that reaches to its k-th nearest neighbour.

    The m_K of Eq. 2, with the radius of `context_radius`. `points` may include heads outside the frame: their discs
    reach into it. Without any head nothing is context (all False).
    """
    return disc_mask(points, context_radius(points, k=k), size, stride=stride)


def context_radius(points: FloatArray, *, k: int, zoom: float = 1.0) -> NDArray[np.float64]:
    """Return (N,) pixels: how far the context of each head reaches.

    The radius is the distance to the k-th nearest other head. An outlying neighbour is stepped back from: while the
    radius exceeds twice the mean distance of the nearer ones, the next nearer is taken. Duplicates count as one head.

    With fewer than k + 1 distinct heads there is no k-th neighbour, and the paper has no rule. The last one is taken
    then, and no radius exceeds 60 pixels of the image as it is trained on, `zoom` times as large as this one: whatever
    the counter sees further away from few heads is a false alarm, which Eq. 2 would turn into a target.
    """
    distinct, inverse = np.unique(points.reshape(-1, 2), axis=0, return_inverse=True)
    if len(distinct) < 2:
        return np.full(len(points), _FEW_REACH / zoom)
    from scipy.spatial import cKDTree  # here: counting imports this module and takes no scipy

    few, k = len(distinct) < k + 1, min(k, len(distinct) - 1)
    distances = np.asarray(cKDTree(distinct).query(distinct, k=k + 1)[0])[:, 1:]
    rank = np.full(len(distinct), k - 1)
    for nearer in range(k - 1, 0, -1):
        outlier = distances[:, nearer] > _OUTLIER_RATIO * distances[:, :nearer].mean(axis=1)
        rank[(rank == nearer) & outlier] = nearer - 1
    radius = np.take_along_axis(distances, rank[:, None], axis=1)[:, 0][inverse.ravel()]
    return np.minimum(radius, _FEW_REACH / zoom) if few else radius


def disc_mask(points: FloatArray, radius: NDArray[np.float64], size: tuple[int, int], *, stride: int = 1) -> Mask:
    """Return bool (ceil(H/stride), ceil(W/stride)): cells whose centre is within `radius` (N,) of a point (N, 2).

    The cell of a point inside the frame is always on, so that no head disappears at a coarse stride.
    """
    mask = np.zeros(grid_size(size, stride), np.bool_)
    kept = inside(points, size)
    mask[points[kept, 1].astype(np.intp) // stride, points[kept, 0].astype(np.intp) // stride] = True
    reach = radius[:, None]
    near = np.all((points + reach > 0) & (points - reach < (size[1], size[0])), axis=1)
    centres, radii = points[near].astype(np.float64), radius[near]
    for begin in range(0, len(centres), _DISCS):
        mask |= _union(centres[begin : begin + _DISCS], radii[begin : begin + _DISCS], mask.shape, stride)
    return mask


def _union(points: NDArray[np.float64], radius: NDArray[np.float64], grid: tuple[int, int], stride: int) -> Mask:
    """Return bool (rows, columns): cells whose centre is within `radius` (N,) of a point (N, 2).

    Each row of a disc is a span of cells. Where spans begin and end is counted, and the counts are summed along the
    rows: the time grows with the rows of the discs, not with their cells.
    """
    rows, columns = grid
    top, bottom = _span(points[:, 1], radius, stride, rows)
    heights = bottom - top
    disc = np.repeat(np.arange(len(points)), heights)
    row = np.arange(len(disc)) + np.repeat(bottom - np.cumsum(heights), heights)
    across = (row + 0.5) * stride - points[disc, 1]
    half = np.sqrt(np.maximum(radius[disc] ** 2 - across**2, 0))  # by rounding alone less than nothing
    begin, end = _span(points[disc, 0], half, stride, columns)
    row_start, cells = row * (columns + 1), rows * (columns + 1)
    spans = np.bincount(row_start + begin, minlength=cells) - np.bincount(row_start + end, minlength=cells)
    union: Mask = spans.reshape(rows, columns + 1).cumsum(axis=1)[:, :-1] > 0
    return union


def _span(
    middle: NDArray[np.float64], half: NDArray[np.float64], stride: int, cells: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the first cell of each span and the one behind its last: those in the frame whose centre lies in it."""
    first = np.clip(np.ceil((middle - half) / stride - 0.5), 0, cells)
    end = np.clip(np.floor((middle + half) / stride + 0.5), first, cells)
    return first.astype(np.intp), end.astype(np.intp)
