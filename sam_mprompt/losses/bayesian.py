"""Bayesian loss: what each head can expect of the density.

Source: Bayesian Loss for Crowd Count Estimation with Point Supervision (Ma, Wei, Hong, Gong, ICCV 2019,
https://arxiv.org/abs/1908.03684), its BAYESIAN+, with background.
"""

import torch
from torch import Tensor

from ..recipe.loss import BayesianLoss
from .counts import BlockCounts
from .density import PerSquare, Terms, heads_of
from .distribution_matching import cell_centres, square_distances
from .targets import Targets


class BayesianCounts:
    """L_den = sum over heads of |1 - E[c_n]| + |0 - E[c_0]|, E[c_n] = sum over cells of p(y_n | x) times the density.

    p(y_n | x) is the posterior of head n at a cell: each head is a Gaussian of `sigma` pixels around its point, the
    background one around a point `background` times the crop's side away from the head nearest to the cell. The count
    term is the absolute error of the number of heads.

    Args:
        recipe: weights, sigma and background.
        stride: pixels per side of a density cell.
    """

    def __init__(self, recipe: BayesianLoss, *, stride: int) -> None:
        self.recipe, self.stride = recipe, stride
        self.square = PerSquare(recipe.density_scale, stride)

    def __call__(self, density: Tensor, targets: Targets, counts: BlockCounts | None) -> Terms:  # noqa: ARG002
        """Compare with the heads: see `DensityLoss`."""
        recipe, heads = self.recipe, heads_of(targets)
        factor = self.square.factor(density)
        errors = [self.errors(own[0], points) for own, points in zip(density, heads.each(), strict=True)]
        terms = {"density": torch.stack(errors).mean() * factor}
        total = recipe.density * terms["density"]
        if recipe.count > 0:
            actual = torch.tensor(heads.per_crop, device=density.device)
            terms["count"] = (density.sum(dim=(1, 2, 3)) - actual).abs().mean() * factor
            total = total + recipe.count * terms["count"]
        return total, terms

    def errors(self, density: Tensor, points: Tensor) -> Tensor:
        """Return what the heads (n, 2) and the background of a density (h, w) lack or have too much of, in heads."""
        if len(points) == 0:
            return density.sum().abs()
        side = min(density.shape) * self.stride
        posterior = posteriors(
            square_distances(cell_centres(density, self.stride), points),
            sigma=self.recipe.sigma,
            background=self.recipe.background * side,
        )
        expected = density.flatten() @ posterior
        return (1 - expected[:-1]).abs().sum() + expected[-1].abs()


def posteriors(squares: Tensor, *, sigma: float, background: float) -> Tensor:
    """Return (M, N + 1): the probability that what is at a cell is each head's, or in the end the background's.

    Args:
        squares: (M, N), squares of the distances between cells and heads in pixels; N is at least 1.
        sigma: of a head's Gaussian, in pixels.
        background: d, the distance of the background's own point from the head nearest to a cell, in pixels.
    """
    nearest = squares.min(dim=1, keepdim=True).values.sqrt()
    beyond = (background - nearest).square()
    return torch.softmax(-torch.cat([squares, beyond], dim=1) / (2 * sigma**2), dim=1)
