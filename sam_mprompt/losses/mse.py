"""Squared error of the density: the paper's L_den.

Source: mPrompt (Guo et al., CVPR 2024, section 3), after MCNN (Zhang et al., CVPR 2016): a head is a Gaussian that sums
to one, and the density is regressed cell by cell.
"""

from torch import Tensor
from torch.nn import functional as F

from ..recipe.loss import MseLoss
from .counts import BlockCounts
from .density import Terms
from .targets import Targets


class SquaredError:
    """The mean squared error of the density per *pixel* times `density_scale`**2, and an optional count term.

    With the scale at the crop's side it equals the sum of squared errors of one crop, whatever the density's stride.
    The count term is the absolute error of the number of heads in a square of that side.

    Args:
        recipe: weights.
        stride: pixels per side of a density cell.
    """

    def __init__(self, recipe: MseLoss, *, stride: int) -> None:
        self.recipe = recipe
        self.factor = recipe.density_scale / stride**2

    def __call__(self, density: Tensor, targets: Targets, counts: BlockCounts | None) -> Terms:  # noqa: ARG002
        """Compare with the density of Gaussians: see `DensityLoss`."""
        recipe = self.recipe
        terms = {"density": F.mse_loss(density * self.factor, targets.density * self.factor)}
        total = recipe.density * terms["density"]
        if recipe.count > 0:
            error = (density - targets.density).mean(dim=(1, 2, 3)).abs().mean()
            terms["count"] = error * self.factor * recipe.density_scale
            total = total + recipe.count * terms["count"]
        return total, terms
