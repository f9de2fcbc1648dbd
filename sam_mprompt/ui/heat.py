"""A density as a picture to lay over a photograph on the page."""

import cv2

from ..arrays import FloatArray
from ..render import heat_layer

_LONGEST = 1024
_LARGEST_STEP = 8


def heat_of(density: FloatArray) -> bytes:
    """Return a PNG with transparency that covers the same area as the density (h, w), several pixels a cell."""
    rows, columns = density.shape
    step = max(1, min(_LARGEST_STEP, _LONGEST // max(rows, columns)))
    layer = heat_layer(density, (rows * step, columns * step))
    _, encoded = cv2.imencode(".png", cv2.cvtColor(layer, cv2.COLOR_RGBA2BGRA), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    return bytes(encoded.tobytes())
