"""DM-Count: the count, and how the heads are distributed.

Source: Distribution Matching for Crowd Counting (Wang, Liu, Samaras, Hoai, NeurIPS 2020, https://arxiv.org/abs/2009.13077).
"""

import torch
from torch import Tensor

from ..recipe.loss import DmLoss
from .counts import BlockCounts
from .density import PerSquare, Terms, heads_of
from .sinkhorn import transport
from .targets import Targets

_TINY = 1e-8
"""Of a cell, beside its density: an empty prediction is spread evenly."""


class DistributionMatching:
    """L_den = |n - n_hat| + `transport` OT + `variation` n TV for each crop, scaled to a square of `density_scale`.

    n is the number of heads. OT is the cost of moving the normalised density onto the heads, a unit of mass at a square
    distance in pixels; TV is half the sum of absolute differences between the normalised density and the normalised
    heads per cell. Both compare distributions: a crop without heads has the first term only.

    Args:
        recipe: weights, and how transport is solved.
        stride: pixels per side of a density cell.
    """

    def __init__(self, recipe: DmLoss, *, stride: int) -> None:
        self.recipe, self.stride = recipe, stride
        self.square = PerSquare(recipe.density_scale, stride)

    def __call__(self, density: Tensor, targets: Targets, counts: BlockCounts | None) -> Terms:  # noqa: ARG002
        """Compare with the heads: see `DensityLoss`."""
        recipe, heads = self.recipe, heads_of(targets)
        cells = heads.per_cell((density.shape[-2], density.shape[-1]), self.stride)
        factor = self.square.factor(density)
        moved = [self.moving(own[0], points) for own, points in zip(density, heads.each(), strict=True)]
        terms = {
            "count": (density.sum(dim=(1, 2, 3)) - cells.sum(dim=(1, 2, 3))).abs().mean() * factor,
            "transport": torch.stack(moved).mean() * factor,
            "variation": total_variation(density, cells).mean() * factor,
        }
        own = terms["count"] + recipe.transport * terms["transport"] + recipe.variation * terms["variation"]
        return recipe.density * own, {"density": own, **terms}

    def moving(self, density: Tensor, points: Tensor) -> Tensor:
        """Return the cost of moving a density (h, w), normalised, onto points (n, 2) in pixels; 0 without points.

        Its gradient is that of the normalised density's cost: the potential of each cell less the mean potential. Below
        one predicted head the sum is taken as one, so that an empty prediction is not thrown about.
        """
        if len(points) == 0:
            return density.sum() * 0.0
        mass = density.detach() + _TINY
        source = (mass / mass.sum()).flatten()
        target = torch.full((len(points),), 1.0 / len(points), device=density.device)
        cost = square_distances(cell_centres(density, self.stride), points)
        recipe = self.recipe
        found = transport(cost, source, target, epsilon=recipe.epsilon, rounds=recipe.rounds)
        slope = (found.potential - found.potential @ source) / mass.sum().clamp(min=1.0)
        change = (slope * density.flatten()).sum()
        return found.cost + change - change.detach()


def total_variation(density: Tensor, cells: Tensor) -> Tensor:
    """Return (B,): n times half the absolute difference of the normalised density and heads, both (B, 1, h, w).

    0 without heads. Below one predicted head the sum is taken as one.
    """
    heads = cells.sum(dim=(1, 2, 3), keepdim=True)
    predicted = density.sum(dim=(1, 2, 3), keepdim=True).clamp(min=1.0)
    difference = density / predicted - cells / heads.clamp(min=1.0)
    return (difference * heads).abs().sum(dim=(1, 2, 3)) / 2


def cell_centres(density: Tensor, stride: int) -> Tensor:
    """Return float32 (h * w, 2): the centres (x, y) of the cells of a density (h, w), in pixels."""
    rows, columns = density.shape
    y, x = (torch.arange(n, device=density.device) for n in (rows, columns))
    grid = torch.cartesian_prod(y, x).flip(1)
    return (grid + 0.5) * stride


def square_distances(places: Tensor, points: Tensor) -> Tensor:
    """Return (M, N): squares of the distances between places (M, 2) and points (N, 2), exact where they are small."""
    x, y = ((places[:, None, axis] - points[None, :, axis]).square() for axis in (0, 1))
    return x + y
