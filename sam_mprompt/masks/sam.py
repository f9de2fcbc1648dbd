"""Pseudo masks from the frozen SAM, prompted with every annotated point: no box annotation is needed.

A point on a head asks SAM for a face, a head or a person; which one, and where a head ends among its neighbours, is
decided here: `choose` takes the surest of SAM's guesses that is no larger than a head can be, and `reach` bounds it by
the distance to the nearest other head.
"""

import math
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from ..arrays import ByteImage, FloatArray, Mask
from ..counting.preprocess import network_input
from ..data.sample import Sample
from ..geometry import Geometry, resize_image, round_up, tile_grid
from .point_prompter import PointPrompter

_SIDE = 1024  # what SAM was trained at
_OVERLAP = 256
# Prompts per call of the decoder, which copies the features for each. A CPU gains nothing from a larger call: at 1024
# pixels 32 prompts took 60 % more time than four times 8, most of it the system's, which hands out the memory.
_BATCH, _BATCH_ON_CPU = 32, 8
_NEIGHBOUR_SHARE = 0.75  # heads that touch are a head's width apart; a head is higher than wide
_LARGEST_SHARE = 1 / 12  # of the image's shorter side, where no neighbour bounds a head
_SMALLEST = 3.0  # pixels
_GEOMETRY = Geometry(max_side=1_000_000, min_side=1, tile=_SIDE, overlap=_OVERLAP)


class SamMasks:
    """Masks of heads from SAM itself, as a source for `make_masks`.

    Images whose longer side is below 1024 pixels are enlarged to it, as SAM does; larger ones are worked on in
    overlapping tiles of 1024 at their own resolution, each point in the tile where it lies farthest from the border.

    Args:
        prompter: the whole SAM.
        name: of its checkpoint, for the record.
        device: where it runs.
    """

    def __init__(self, prompter: PointPrompter, name: str, *, device: torch.device) -> None:
        self.prompter, self.device = prompter.to(device), device
        self.settings: dict[str, Any] = {"source": "sam", "base": name}

    def __call__(self, image: ByteImage, sample: Sample) -> Mask:
        """Image uint8 (H, W, 3) and its points -> bool (H, W)."""
        original = (image.shape[0], image.shape[1])
        points = np.zeros((0, 2), np.float32) if sample.points is None else sample.points
        if len(points) == 0:
            return np.zeros(original, np.bool_)
        scale = max(1.0, _SIDE / max(original))
        image, ratio = resize_image(image, Geometry(max_side=1_000_000, min_side=1, scale=scale))
        radius = reach(points, original) * ratio[0]
        points = points * np.asarray(ratio, np.float32)
        mask = np.zeros(image.shape[:2], np.bool_)
        for top, left, height, width, own in tiles(points, image.shape[:2]):
            window = (slice(top, top + height), slice(left, left + width))
            self._mark(mask[window], image[window], points[own] - (left, top), radius[own])
        if image.shape[:2] == original:
            return mask
        small = cv2.resize(mask.astype(np.float32), original[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(small > 0.5, np.bool_)

    @torch.inference_mode()
    def _mark(self, mask: Mask, tile: ByteImage, points: FloatArray, radius: NDArray[np.float64]) -> None:
        """Set the pixels of the heads at `points` in a tile's mask."""
        encoder = self.prompter.encoder
        height, width = (round_up(side, encoder.size_divisor) for side in tile.shape[:2])
        pixels = network_input([tile], (height, width), encoder.mean, encoder.std)
        features = self.prompter.encode(torch.from_numpy(pixels).to(self.device))
        prompts = torch.from_numpy(np.asarray(points, np.float32)).to(self.device)
        batch = _BATCH_ON_CPU if self.device.type == "cpu" else _BATCH
        for first in range(0, len(points), batch):
            chosen = slice(first, first + batch)
            logits, scores = self.prompter.answer(features, prompts[chosen])
            best = choose(logits, scores, prompts[chosen], torch.from_numpy(radius[chosen]), self.prompter.cell)
            for guess, point, limit in zip(best.cpu().numpy(), points[chosen], radius[chosen], strict=True):
                draw(mask, guess, point, float(limit), self.prompter.cell)


def reach(points: FloatArray, size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (N,) pixels: how far a head can reach from its point.

    Three quarters of the distance to the nearest other point, at most a twelfth of the image's shorter side, at least
    3 pixels. Duplicates count as one head.

    Args:
        points: (N, 2) as (x, y).
        size: (height, width) of the image.
    """
    distinct, inverse = np.unique(points, axis=0, return_inverse=True)
    nearest = np.full(len(distinct), np.inf)
    if len(distinct) > 1:
        nearest = np.asarray(cKDTree(distinct).query(distinct, k=2)[0])[:, 1]
    limited = np.clip(_NEIGHBOUR_SHARE * nearest, _SMALLEST, max(_SMALLEST, _LARGEST_SHARE * min(size)))
    return np.asarray(limited, np.float64)[inverse.ravel()]


def tiles(points: FloatArray, size: tuple[int, int]) -> list[tuple[int, int, int, int, NDArray[np.intp]]]:
    """Return (top, left, height, width, indices of its points) of every tile that has points, each point in one."""
    (height, width), tops, lefts = tile_grid(size, _GEOMETRY, 16)
    corners = [(t, u, min(height, size[0] - t), min(width, size[1] - u)) for t in tops for u in lefts]
    x, y = points[:, 0], points[:, 1]
    inside = [np.minimum.reduce([x - left, left + w - x, y - top, top + h - y]) for top, left, h, w in corners]
    owner = np.argmax(inside, axis=0)
    own = [np.flatnonzero(owner == number) for number in range(len(corners))]
    return [(*corner, indices) for corner, indices in zip(corners, own, strict=True) if len(indices)]


def choose(logits: Tensor, scores: Tensor, points: Tensor, radius: Tensor, cell: int) -> Tensor:
    """Take one of SAM's guesses for each prompt: the surest that holds its point and is no larger than a head can be.

    Where all that hold the point are too large, the smallest of them; where none holds it, the surest.

    Args:
        logits: (N, G, h, w), above 0 inside.
        scores: (N, G), the intersection over union that SAM expects.
        points: (N, 2) as (x, y) pixels.
        radius: (N,) of `reach`, pixels.
        cell: pixels per side of a logit.

    Returns:
        Logits (N, h, w).
    """
    count, _, height, width = logits.shape
    columns = (points[:, 0] / cell).long().clamp(0, width - 1)
    rows = (points[:, 1] / cell).long().clamp(0, height - 1)
    holds = logits[torch.arange(count), :, rows, columns] > 0  # (N, G)
    area = (logits > 0).sum((-2, -1)) * cell**2
    fits = holds & (area <= math.pi * radius.to(area.device)[:, None] ** 2)
    smallest = torch.where(holds, -area.double(), -math.inf)
    rank = torch.where(fits.any(1, keepdim=True), torch.where(fits, scores.double(), -math.inf), smallest)
    rank = torch.where(holds.any(1, keepdim=True), rank, scores.double())
    return logits[torch.arange(count), rank.argmax(1)]


def draw(mask: Mask, logits: FloatArray, point: NDArray[np.floating], radius: float, cell: int) -> None:
    """Set in `mask` (H, W) the pixels within `radius` of a point whose logit (h, w), interpolated, is above 0.

    Where that leaves out the point itself, SAM saw something else: the head becomes a disc of half the radius.
    """
    x, y = float(point[0]), float(point[1])
    rows = np.arange(max(0, math.floor(y - radius)), min(mask.shape[0], math.ceil(y + radius) + 1))
    columns = np.arange(max(0, math.floor(x - radius)), min(mask.shape[1], math.ceil(x + radius) + 1))
    distance = np.hypot(rows[:, None] + 0.5 - y, columns[None] + 0.5 - x)
    across, down = np.meshgrid((columns + 0.5) / cell - 0.5, (rows + 0.5) / cell - 0.5)
    fine = cv2.remap(
        np.ascontiguousarray(logits, np.float32),
        across.astype(np.float32),
        down.astype(np.float32),
        interpolation=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    found = (fine > 0) & (distance <= radius)
    held = found[np.unravel_index(distance.argmin(), distance.shape)]
    mask[np.ix_(rows, columns)] |= found if held else distance <= radius / 2
