"""What was counted, over its image: heat maps, training previews, masks and head locations."""

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arrays import ByteImage, FloatArray
from .pixels import WHITE, Colour, as_bytes, resized
from .text import caption, side_by_side

MaskLike = NDArray[np.bool_] | FloatArray

_POINT_COLOUR: Colour = (80, 255, 120)
_MASK_COLOUR: Colour = (64, 190, 255)
_DIFFERENCE: tuple[Colour, Colour, Colour] = ((255, 150, 40), _MASK_COLOUR, (90, 220, 120))
_DARKEST = 0.15  # of the colour map, under an overlay: black would look like a hole
_STRIP = 256


def overlay(
    image: ByteImage,
    density: FloatArray,
    count: float | None,
    *,
    points: FloatArray | None = None,
    error: str | None = None,
) -> ByteImage:
    """Return the dimmed image under a heat map of the density, captioned with the count.

    Args:
        image: uint8 RGB (H, W, 3).
        density: (h, w), heads per cell, on any grid that covers the image.
        count: the number in the caption; None for no caption.
        points: (N, 2) as (x, y) pixels of the image, marked when given.
        error: ASCII text that stands behind the number, in brackets, when given.
    """
    heat = _heat(density, image.shape[:2])
    level = _level(heat, _peak(heat))
    picture = np.empty_like(image)
    for top in range(0, len(image), _STRIP):  # in strips, as floats of a whole large photograph would fill the memory
        rows = slice(top, top + _STRIP)
        picture[rows] = _glowing(image[rows], level[rows])
    if points is not None:
        picture = draw_points(picture, points, colour=WHITE)
    behind = "" if error is None else f" ({error})"
    return picture if count is None else caption(picture, f"{count:,.1f} heads{behind}")


def heat_layer(density: FloatArray, size: tuple[int, int]) -> ByteImage:
    """Return uint8 RGBA (H, W, 4): the heat map that `overlay` lays over a dimmed image, with its opacity.

    Args:
        density: (h, w), heads per cell.
        size: (height, width) of the layer, which covers the same area.
    """
    heat = np.maximum(_heat(density, size), 0)
    level = _level(heat, _peak(heat))
    colours = _colours(_DARKEST + (1 - _DARKEST) * level)
    return as_bytes(np.dstack([colours, 255 * 0.9 * np.sqrt(level)]))


def preview(
    image: ByteImage,
    target_density: FloatArray,
    predicted_density: FloatArray,
    target_mask: MaskLike | None = None,
    predicted_mask: MaskLike | None = None,
    *,
    height: int = 448,
) -> ByteImage:
    """Return a row of captioned panels: image | target density | predicted density | target mask | predicted mask.

    Both densities, heads per cell of one grid, share one colour scale: the target's, so that a prediction that is too
    weak looks too weak (the prediction's where there is nobody). Masks, bool or probabilities in [0, 1], are left out
    when None.

    Args:
        height: of a panel in pixels; a panorama's panels are lower, at most twice as wide as this.
    """
    factor = height / max(image.shape[0], image.shape[1] / 2)
    size = (max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor)))
    shown = resized(image, size)
    target, predicted = _heat(target_density, size), _heat(predicted_density, size)
    peak = _peak(target) if target.max() > 0 else _peak(predicted)
    panels = [
        ("Image", shown),
        (f"Target {_total(target_density):,.0f}", as_bytes(_colours(_level(target, peak)))),
        (f"Predicted {_total(predicted_density):,.1f}", as_bytes(_colours(_level(predicted, peak)))),
    ]
    masks = (("Target mask", target_mask), ("Predicted mask", predicted_mask))
    panels += [(title, mask_overlay(shown, mask)) for title, mask in masks if mask is not None]
    return side_by_side([panel for _, panel in panels], [title for title, _ in panels])


def mask_overlay(image: ByteImage, mask: MaskLike, *, colour: Colour = _MASK_COLOUR) -> ByteImage:
    """Return the dimmed image with the mask tinted and outlined.

    `mask` is bool or a probability in [0, 1], (h, w) on any grid that covers the image; the outline is at one half.
    """
    size = image.shape[:2]
    share = _fit(mask.astype(np.float32), size, cv2.INTER_NEAREST if mask.dtype == np.bool_ else cv2.INTER_LINEAR)
    share = np.clip(share, 0, 1)
    tint = (0.55 * share)[..., None]
    picture = as_bytes(_dim(image) * (1 - tint) + np.asarray(colour, np.float32) * tint)
    outlines, _ = cv2.findContours((share > 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, outlines, -1, colour, max(1, round(min(size) / 400)), cv2.LINE_AA)
    return picture


def density_panels(image: ByteImage, densities: list[FloatArray]) -> list[ByteImage]:
    """Return a heat map over the dimmed image for each density, all on one colour scale, so that they compare.

    Densities are heads per cell (h, w), on grids that may differ but cover the image.
    """
    size = image.shape[:2]
    # Per pixel: cells of different sizes hold different shares of a head.
    heats = [_heat(density, size) * (density.size / (size[0] * size[1])) for density in densities]
    peak = max(_peak(heat) for heat in heats)
    return [_glowing(image, _level(heat, peak)) for heat in heats]


def mask_difference(image: ByteImage, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> ByteImage:
    """Return the dimmed image (H, W, 3) tinted where only the first mask (H, W), only the second, or both are on."""
    picture = _dim(image)
    for where, colour in zip((first & ~second, second & ~first, first & second), _DIFFERENCE, strict=True):
        picture[where] = 0.45 * picture[where] + 0.55 * np.asarray(colour, np.float32)
    return as_bytes(picture)


def draw_points(image: ByteImage, points: FloatArray, *, colour: Colour = _POINT_COLOUR) -> ByteImage:
    """Return the image with a ringed dot at each (x, y) in pixels of the image, (N, 2).

    Dots shrink in a dense crowd, so that neighbours stay apart.
    """
    picture = image.copy()
    if len(points) == 0:
        return picture
    fraction = 4  # cv2 draws at fixed-point coordinates with this many binary digits after the point.
    for (x, y), radius in zip(points.astype(np.float64) - 0.5, _radii(points, image.shape[:2]), strict=True):
        centre = (round(x * 2**fraction), round(y * 2**fraction))
        for extra, shade in ((1.0, (0, 0, 0)), (0.0, colour)):
            cv2.circle(picture, centre, round((radius + extra) * 2**fraction), shade, -1, cv2.LINE_AA, fraction)
    return picture


def _heat(density: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """Return float32 (H, W): the density in heads per cell, smoothed for the eye at the picture's own scale."""
    area = size[0] * size[1]
    heat = _fit(density.astype(np.float32), size, cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(heat, (0, 0), max(0.6 * np.sqrt(area / density.size), np.sqrt(area) / 250)))


def _peak(heat: FloatArray) -> float:
    """Return the heat shown brightest: nearly the largest, so that one spike does not darken the rest."""
    positive = heat[heat > 1e-3 * heat.max()]
    return float(np.percentile(positive, 99)) if positive.size else 1.0


def _level(heat: FloatArray, peak: float) -> FloatArray:
    """Return heat as colour levels in [0, 1]; a power below one lifts the sparse regions out of the dark."""
    return np.clip(heat / max(peak, 1e-12), 0, 1) ** np.float32(0.7)


def _colours(level: FloatArray) -> FloatArray:
    """Return float32 RGB (H, W, 3) in 0..255 of levels in [0, 1]."""
    bgr = cv2.applyColorMap(as_bytes(level * 255), cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.float32)


def _glowing(image: ByteImage, level: FloatArray) -> ByteImage:
    """Return the dimmed image under the colours of levels (H, W) in [0, 1], the more opaque the higher."""
    opacity = (0.9 * np.sqrt(level))[..., None]
    return as_bytes(_dim(image) * (1 - opacity) + _colours(_DARKEST + (1 - _DARKEST) * level) * opacity)


def _dim(image: ByteImage) -> FloatArray:
    """Return float32 RGB, darker and half grey, so that colours laid over it are the picture's only strong ones."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    return 0.7 * (0.6 * grey + 0.4 * image.astype(np.float32))


def _radii(points: FloatArray, size: tuple[int, ...]) -> NDArray[np.float64]:
    largest = max(1.5, min(size[:2]) / 200)
    if len(points) < 2:
        return np.full(len(points), largest)
    try:
        from scipy.spatial import cKDTree
    except ImportError:  # an installation that only counts: all alike then
        return np.full(len(points), largest)
    nearest = np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]
    return np.clip(0.3 * nearest, 1.0, largest)


def _fit(cells: FloatArray, size: tuple[int, ...], interpolation: int) -> FloatArray:
    return np.asarray(cv2.resize(cells, (size[1], size[0]), interpolation=interpolation))


def _total(density: FloatArray) -> float:
    return float(density.sum(dtype=np.float64))
