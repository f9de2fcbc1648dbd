"""A density as a picture to lay over a photograph: the more heads, the brighter and the less transparent."""

import cv2
import numpy as np

from ..arrays import FloatArray

_LONGEST = 768
_LARGEST_STEP = 6
_PEAK = 99.7


def heat_of(density: FloatArray) -> bytes:
    """Return a PNG with transparency that covers the same area as the density (h, w), several pixels a cell."""
    rows, columns = density.shape
    step = max(1, min(_LARGEST_STEP, _LONGEST // max(rows, columns)))
    size = (columns * step, rows * step)
    cells = np.maximum(density, 0).astype(np.float32)
    positive = cells[cells > 0]
    peak = max(float(np.percentile(positive, _PEAK)), 1e-6) if len(positive) else 1.0
    smooth = cv2.GaussianBlur(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR), (0, 0), 0.6 * step)
    level = np.clip(smooth / (0.8 * peak), 0, 1)
    colours = cv2.applyColorMap((40 + 215 * level).astype(np.uint8), cv2.COLORMAP_INFERNO)
    alpha = (255 * np.clip(level * 1.6, 0, 1) ** 0.8).astype(np.uint8)
    _, encoded = cv2.imencode(".png", np.dstack([colours, alpha]))
    return bytes(encoded.tobytes())
