"""Random crops, zoom, flip, colour, blur and noise: image, points, boxes and radii always move together."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchvision.transforms.v2 import functional as colour

from ..arrays import FloatArray


@dataclass(frozen=True)
class AnnotatedImage:
    """An image in memory with its annotation, in pixels of this image.

    Attributes:
        image: uint8 (H, W, 3), RGB.
        points: float32 (N, 2) as (x, y); after a crop also those outside it.
        radius: float64 (N,), pixels, how far the context of each head reaches.
        boxes: float32 (M, 4) as (x1, y1, x2, y2), or None.
        mask: bool (H, W), a pseudo mask that was made before, or None.
    """

    image: NDArray[np.uint8]
    points: FloatArray
    radius: NDArray[np.float64]
    boxes: FloatArray | None
    mask: NDArray[np.bool_] | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def moved(
        self, image: NDArray[np.uint8], scale: tuple[float, float], offset: tuple[float, float]
    ) -> "AnnotatedImage":
        """Return the frame whose coordinates are `(old - offset) * scale`, both as (x, y), on another image."""
        factor, origin = np.asarray(scale, np.float32), np.asarray(offset, np.float32)
        boxes = None if self.boxes is None else (self.boxes - np.tile(origin, 2)) * np.tile(factor, 2)
        radius = self.radius * float(np.sqrt(factor[0] * factor[1]))
        mask = None if self.mask is None else _moved_mask(self.mask, image.shape[:2], scale, offset)
        return AnnotatedImage(image, (self.points - origin) * factor, radius, boxes, mask)


def random_crop(
    frame: AnnotatedImage, side: int, zoom: tuple[float, float], rng: np.random.Generator
) -> AnnotatedImage:
    """Cut a square and enlarge it by a factor drawn log-uniformly from `zoom`; at most `side` x `side` pixels come out.

    An image smaller than the square is kept whole, so the result can be smaller than `side`.
    """
    factor = float(np.exp(rng.uniform(np.log(zoom[0]), np.log(zoom[1]))))
    height, width = frame.size
    cut_height, cut_width = min(height, round(side / factor)), min(width, round(side / factor))
    top, left = int(rng.integers(height - cut_height + 1)), int(rng.integers(width - cut_width + 1))
    cut = frame.image[top : top + cut_height, left : left + cut_width]
    out_height, out_width = min(side, round(cut_height * factor)), min(side, round(cut_width * factor))
    if (out_height, out_width) != (cut_height, cut_width):
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        cut = np.asarray(cv2.resize(cut, (out_width, out_height), interpolation=method), np.uint8)
    return frame.moved(cut, (out_width / cut_width, out_height / cut_height), (left, top))


def horizontal_flip(frame: AnnotatedImage) -> AnnotatedImage:
    """Mirror left and right. A head on the left edge stays inside the frame (its x is just below the width)."""
    width = frame.size[1]
    points = frame.points.copy()
    within = (points[:, 0] >= 0) & (points[:, 0] < width)
    points[:, 0] = width - points[:, 0]
    points[within, 0] = np.minimum(points[within, 0], np.nextafter(np.float32(width), np.float32(0)))
    boxes = frame.boxes
    if boxes is not None:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    mask = None if frame.mask is None else frame.mask[:, ::-1]
    return replace(frame, image=np.asarray(cv2.flip(frame.image, 1), np.uint8), points=points, boxes=boxes, mask=mask)


def _moved_mask(
    mask: NDArray[np.bool_], size: tuple[int, int], scale: tuple[float, float], offset: tuple[float, float]
) -> NDArray[np.bool_]:
    """Read a mask, nearest pixel, at the places that the pixels of a moved image come from."""
    places = []
    for axis, length in enumerate(size):
        x_first = 1 - axis  # sizes are (height, width), scale and offset (x, y)
        source = (np.arange(length) + 0.5) / scale[x_first] + offset[x_first]
        places.append(np.clip(source.astype(int), 0, mask.shape[axis] - 1))
    return mask[np.ix_(*places)]


def colour_jitter(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation by factors of 1 +- `strength`; uint8 (H, W, 3) in and out."""
    brightness, contrast, saturation = rng.uniform(1 - strength, 1 + strength, size=3)
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    pixels = colour.adjust_brightness(pixels, brightness)
    pixels = colour.adjust_contrast(pixels, contrast)
    pixels = colour.adjust_saturation(pixels, saturation)
    return np.asarray(pixels.permute(1, 2, 0).numpy(), np.uint8)


def random_blur(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur by a Gaussian whose standard deviation is drawn from 0 to `strength` pixels; uint8 (H, W, 3) in and out."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(rng.uniform(0, strength), 1e-3)), np.uint8)


def pixel_noise(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn pixels black or white, each with a probability drawn from 0 to `strength`; uint8 (H, W, 3) in and out."""
    share = rng.uniform(0, strength)
    drawn = rng.random(image.shape[:2])
    noisy = image.copy()
    noisy[drawn < share] = 255
    noisy[drawn < share / 2] = 0
    return noisy
