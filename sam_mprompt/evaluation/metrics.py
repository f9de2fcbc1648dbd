"""What is measured: errors of counts, NWPU-Crowd's levels, and how well two masks agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..arrays import FloatArray, Mask
from ..errors import UsageError
from ..targets import box_mask

LEVELS = {"S0": (0, 0), "S1": (1, 100), "S2": (101, 500), "S3": (501, 5000), "S4": (5001, None)}
"""NWPU-Crowd's crowd levels by the number of heads, both ends included."""


@dataclass(frozen=True)
class Metrics:
    """Errors over a set of images.

    Attributes:
        images: number of images.
        mae: mean absolute error in heads.
        rmse: root of the mean squared error in heads (NWPU-Crowd calls it MSE).
        nae: mean of |error| / actual over the images with at least one head, or None when there is no such image.
    """

    images: int
    mae: float
    rmse: float
    nae: float | None


def metrics(predicted: Sequence[float], actual: Sequence[float]) -> Metrics:
    """Compare counts image by image. Raises UsageError for no image or different lengths."""
    if len(predicted) != len(actual) or len(actual) == 0:
        raise UsageError(f"Expected as many predicted as actual counts, got {len(predicted)} and {len(actual)}.")
    truth = np.asarray(actual, np.float64)
    error = np.abs(np.asarray(predicted) - truth)
    crowded = truth > 0
    nae = float(np.mean(error[crowded] / truth[crowded])) if crowded.any() else None
    return Metrics(len(truth), float(error.mean()), float(np.sqrt(np.mean(error**2))), nae)


def crowd_level(count: int) -> str:
    """Return NWPU-Crowd's level of an image with that many heads: "S0" (nobody) to "S4" (more than 5000)."""
    return next(name for name, (_, most) in LEVELS.items() if most is None or count <= most)


def mask_iou(mask: Mask, target: Mask) -> float:
    """Return the intersection over union, in [0, 1], of two masks (h, w), cell by cell; 1.0 when both are empty."""
    union = np.count_nonzero(mask | target)
    return np.count_nonzero(mask & target) / union if union else 1.0


def box_iou(mask: Mask, boxes: FloatArray, cell: tuple[float, float]) -> float:
    """Return the `mask_iou` of a mask with the cells that head boxes touch (paper, with NWPU-Crowd's boxes).

    Args:
        mask: (h, w).
        boxes: (N, 4) as (x1, y1, x2, y2) pixels of the original image.
        cell: (x, y) size of a cell in pixels of the original image.
    """
    cells = (boxes / np.array([*cell, *cell])).astype(np.float32)
    return mask_iou(mask, box_mask(cells, (mask.shape[0], mask.shape[1])))
