"""What a loss of the density is, whichever it is: how it is called, and how it is summed."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .counts import BlockCounts
from .targets import Heads, Targets

Terms = tuple[Tensor, dict[str, Tensor]]
"""A weighted sum, and what a log shows of it by name; all are scalars."""


class DensityLoss(Protocol):
    """A loss of the predicted density, l_d L_den of Eq. 4."""

    def __call__(self, density: Tensor, targets: Targets, counts: BlockCounts | None) -> Terms:
        """Compare a batch with what it should be.

        Args:
            density: float32 (B, 1, h, w), heads per cell, non-negative.
            targets: of the same cells.
            counts: the distribution behind the density, of a counter that predicts one.
        """
        ...


@dataclass(frozen=True)
class PerSquare:
    """Sums over a crop, scaled to a square of `side` pixels, so that the crop's size does not change the balance.

    Attributes:
        side: of the square in pixels.
        stride: pixels per side of a cell.
    """

    side: float
    stride: int

    def of(self, values: Tensor) -> Tensor:
        """Return the mean over crops of values per cell (B, 1, h, w), each crop's summed over a square."""
        return values.mean() * (self.side / self.stride) ** 2

    def factor(self, density: Tensor) -> float:
        """Return how many times a crop of a density (B, 1, h, w) goes into the square."""
        return (self.side / self.stride) ** 2 / density[0, 0].numel()


def heads_of(targets: Targets) -> Heads:
    """Return the heads that a loss of points reads."""
    assert targets.heads is not None, "a recipe with a loss of points makes batches with points"
    return targets.heads
