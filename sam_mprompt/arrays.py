"""The kinds of arrays that the project hands around."""

import numpy as np
from numpy.typing import NDArray

ByteImage = NDArray[np.uint8]
"""An image, uint8 (H, W, 3), RGB."""

FloatArray = NDArray[np.float32]
"""Points (N, 2), boxes (N, 4), a density (h, w) and the like, float32."""

Reals = NDArray[np.floating]
"""Floating-point values of any precision and shape."""

Mask = NDArray[np.bool_]
"""A mask, bool (H, W)."""

Rgb = tuple[float, float, float]
"""Red, green and blue: of images in [0, 1], such as their mean or standard deviation."""
