"""What training saw, and in which respect another image lies outside of it. Free of torch.

All is measured on the pixels as the network sees them, after the resize, and on heads in these pixels: annotated ones
in training, the density when counting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, log, sqrt
from types import MappingProxyType

import cv2
import numpy as np

from ..arrays import ByteImage, FloatArray

_WINDOW, _FEW = 64, 10
"""Pixels: the side of the neighbourhood in which heads are counted to tell how dense they are; heads that it takes."""

_SHARE, _SLACK, _LEAST = 0.97, 1.2, 3.0
"""Of training images inside every range; how much wider ranges are than that; the least width, in spreads."""


@dataclass(frozen=True)
class Measure:
    """One respect in which images differ.

    Attributes:
        logarithmic: whether ratios count, not differences.
        smallest: values below it are taken for it.
        spread: the least that training images are taken to have, of the value or of its logarithm.
        digits: behind the point, when shown.
        below, above: what is said on that side of the range, with `{}` for the value, the least and the most of
            training; None where that is no reason to warn.
    """

    logarithmic: bool
    smallest: float
    spread: float
    digits: int
    below: str | None
    above: str | None

    def place(self, value: float) -> float:
        """Return where a value lies on the scale on which distances are compared."""
        return log(max(value, self.smallest)) if self.logarithmic else value


_APART = "heads are about {} px apart here, {} to {} px in training"
_RATIOS = "{}-fold, {} to {} in training"
_LIGHT = "({} of 255, {} to {} in training)"
_FIGURES = "({}, {} to {} in training)"
MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "spacing": Measure(True, 0.5, 0.1, 0, _APART, _APART),
        "count": Measure(True, 1.0, 0.2, 0, None, "{} heads are more than the {} to {} of training"),
        "side": Measure(True, 1, 0.15, 0, "its shorter side is {} px, {} to {} px in training", None),
        "zoom": Measure(True, 1e-3, 0.08, 2, f"it is shrunk {_RATIOS}", f"it is enlarged {_RATIOS}"),
        "brightness": Measure(False, 0, 6.0, 0, f"it is dark {_LIGHT}", f"it is bright {_LIGHT}"),
        "contrast": Measure(
            True, 1.0, 0.12, 0, f"it has little contrast {_FIGURES}", f"it has much contrast {_FIGURES}"
        ),
        "sharpness": Measure(True, 0.2, 0.15, 1, f"it is blurred or empty {_FIGURES}", f"it is grainy {_FIGURES}"),
        "colour": Measure(False, 0, 3.0, 0, f"it is nearly grey {_FIGURES}", f"it is more colourful {_FIGURES}"),
    }
)
"""By name; `of_pixels` and `of_heads` say what each is. Sizes are those as the network sees the image."""


def of_pixels(pixels: ByteImage, zoom: float) -> dict[str, float]:
    """Measure an image as the network sees it.

    Args:
        pixels: uint8 RGB (H, W, 3), after the resize.
        zoom: pixels of it per pixel of the original, along a side.

    Returns:
        side: the shorter one in pixels. zoom. brightness, contrast: mean and standard deviation of the luminance, 0 to
        255. sharpness: mean absolute Laplacian of the luminance. colour: mean distance between the largest and the
        smallest channel, 0 to 255.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    edges = np.abs(cv2.Laplacian(grey, cv2.CV_16S))
    red, green, blue = cv2.split(pixels)
    colour = cv2.subtract(cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue))
    return {
        "side": float(min(pixels.shape[:2])),
        "zoom": float(zoom),
        "brightness": float(mean[0, 0]),
        "contrast": float(deviation[0, 0]),
        "sharpness": float(edges.mean()),
        "colour": float(cv2.mean(colour)[0]),
    }


def of_heads(density: FloatArray, stride: int) -> dict[str, float]:
    """Measure a crowd.

    Args:
        density: (h, w), heads per cell; of annotated heads one in each one's cell.
        stride: pixels of a cell, as the network sees the image.

    Returns:
        count: heads. spacing: the side of the square that a head has for itself where the typical head is, in pixels;
        left out where there are fewer than ten heads. It is the root of 1 / (mean over heads of heads per pixel in
        the 64 pixels around), which a density and annotated heads agree on.
    """
    weights = np.maximum(density, 0)
    count = float(weights.sum(dtype=np.float64))
    if count < _FEW:
        return {"count": count}
    cells = max(1, round(_WINDOW / stride))
    around = cv2.boxFilter(weights, -1, (cells, cells), normalize=False, borderType=cv2.BORDER_CONSTANT)
    crowding = float((weights * around).sum(dtype=np.float64)) / count
    return {"count": count, "spacing": cells * stride / sqrt(max(crowding, 1e-9))}


def heads_per_cell(points: FloatArray, size: tuple[int, int], stride: int) -> FloatArray:
    """Return float32 (h, w): how many of the heads (N, 2), (x, y) in pixels, lie in each cell of an image (H, W)."""
    rows, columns = (ceil(side / stride) for side in size)
    cells = np.zeros((rows, columns), np.float32)
    x, y = (points / stride).astype(np.intp).T
    np.add.at(cells, (np.clip(y, 0, rows - 1), np.clip(x, 0, columns - 1)), 1)
    return cells


@dataclass(frozen=True)
class Range:
    """What training saw of a measure: its least and most, and the wider limits from which on is warned."""

    least: float
    most: float
    low: float
    high: float


@dataclass(frozen=True)
class Scope:
    """The ranges of what training saw.

    **Rule**: an image's distance in a measure is that from the training images' median, in their spread on that side
    (from the median to the 16th and the 84th percentile; no less than a least that stands in `MEASURES`). The limit of
    all measures is one number of spreads: that below which the largest distance of 97 % of the training images stays,
    three at least, and a fifth more, as another image lies a little farther out than those that the spreads come from.
    So all measures together warn of few of the images that are like those of training. Nothing is warned of with fewer
    than five training images.

    Attributes:
        ranges: by measure; limits are places on its scale (`Measure.place`).
    """

    ranges: Mapping[str, Range] = field(default_factory=dict)

    @classmethod
    def fit(cls, seen: Sequence[Mapping[str, float]]) -> "Scope":
        """Return the scope of training images, each measured by `of_pixels` and `of_heads`."""
        if len(seen) < 5:
            return cls()
        centred = {}
        distances = np.zeros(len(seen))
        for name, measure in MEASURES.items():
            values = np.array([one.get(name, np.nan) for one in seen])
            known = values[np.isfinite(values)]
            if not len(known):
                continue
            places = np.array([measure.place(value) for value in known])
            low, middle, high = np.quantile(places, (0.16, 0.5, 0.84))
            spreads = max(middle - low, measure.spread), max(high - middle, measure.spread)
            centred[name] = (known, middle, spreads)
            off = places - middle
            own = np.where(off < 0, -off / spreads[0], off / spreads[1])
            distances[np.isfinite(values)] = np.maximum(distances[np.isfinite(values)], own)
        limit = _SLACK * max(_LEAST, float(np.quantile(distances, _SHARE)))
        return cls(
            {
                name: Range(
                    float(known.min()),
                    float(known.max()),
                    float(middle - limit * spreads[0]),
                    float(middle + limit * spreads[1]),
                )
                for name, (known, middle, spreads) in centred.items()
            }
        )

    def warnings(self, seen: Mapping[str, float]) -> tuple[str, ...]:
        """Say in which respects an image lies outside, a sentence each, without its end; none for one like those."""
        found = []
        for name, own in self.ranges.items():
            if name in MEASURES and name in seen:
                measure = MEASURES[name]
                place = measure.place(seen[name])
                said = measure.below if place < own.low else measure.above if place > own.high else None
                if said is not None:
                    values = seen[name], own.least, own.most
                    found.append(said.format(*(f"{value:,.{measure.digits}f}" for value in values)))
        return tuple(found)
