"""The largest and smallest values that recipes take, where others keep to them too. Without pydantic, so that all may.

What lies beyond them never helped anyone: it only fails later, after data and base were fetched.
"""

from typing import Final

MIN_SIDE: Final = 32
"""The smallest side in pixels of a scene, a crop or a tile: two of SAM's tokens, one cell of timm's coarsest level."""

MAX_SIDE: Final = 8192
"""The largest side of a scene, a crop or a tile."""

MOST_HEADS: Final = 5000
"""The most people that can be asked for in one scene."""

MOST_SEEDS: Final = 2**32
"""Seeds are below this, as numpy's are."""
