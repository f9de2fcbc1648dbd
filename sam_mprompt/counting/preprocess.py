"""The one way from pixels to a network: resized (`geometry.resize_image`), normalised, padded. Free of torch.

Training normalises its batches on their device (`CrowdCounter.normalise`), by the same rule to the last bit.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np

from ..arrays import ByteImage, FloatArray, Rgb


def network_input(crops: Sequence[ByteImage], size: tuple[int, int], mean: Rgb, std: Rgb) -> FloatArray:
    """Normalise crops and pad each at the bottom and right with zeros, which is the mean colour.

    Args:
        crops: uint8 (h, w, 3), RGB, none larger than `size`.
        size: (height, width) that the network is to see.
        mean, std: statistics of pixels in [0, 1].

    Returns:
        float32 (B, 3, height, width): (pixel / 255 - mean) / std, then zeros.
    """
    table = _normalised_values(tuple(mean), tuple(std))
    batch = np.zeros((len(crops), 3, *size), np.float32)
    for index, crop in enumerate(crops):
        height, width = crop.shape[:2]
        for channel, values in enumerate(table):
            batch[index, channel, :height, :width] = cv2.LUT(np.ascontiguousarray(crop[..., channel]), values)
    return batch


@lru_cache
def _normalised_values(mean: Rgb, std: Rgb) -> FloatArray:
    """Return (3, 256): what each value of a channel becomes. Looking it up takes a tenth of computing it."""
    values = np.arange(256, dtype=np.float32)[None] / np.float32(255)
    return (values - np.array(mean, np.float32)[:, None]) / np.array(std, np.float32)[:, None]
