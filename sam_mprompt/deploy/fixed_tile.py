"""Tiles of any size on a network that takes one size only. Free of torch."""

from collections.abc import Callable

import numpy as np

from ..arrays import FloatArray


def on_a_fixed_tile(
    run: Callable[[FloatArray], FloatArray], tiles: FloatArray, tile: int | None, stride: int
) -> FloatArray:
    """Run tiles (B, 3, H, W), padded at the bottom and right with zeros to `tile` where they are smaller.

    Zeros are what training pads its crops with; cells in the padding are dropped, as everywhere. A network sees the
    padding, though, and counts what is beside it slightly otherwise than without.

    Args:
        run: tiles of (B, 3, tile, tile) -> heads per cell.
        tiles: normalised, none larger than `tile`.
        tile: None where any size will do.
        stride: pixels of a cell.

    Returns:
        float32 (B, H / stride, W / stride).
    """
    height, width = tiles.shape[2:]
    if tile is None or (height, width) == (tile, tile):
        return run(tiles)
    padded = np.zeros((*tiles.shape[:2], tile, tile), np.float32)
    padded[:, :, :height, :width] = tiles
    return run(padded)[:, : height // stride, : width // stride]
