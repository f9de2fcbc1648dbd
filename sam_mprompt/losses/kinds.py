"""Which loss of the density a recipe asks for."""

from ..recipe.loss import BayesianLoss, DmLoss, Loss, ZipLoss
from .bayesian import BayesianCounts
from .density import DensityLoss
from .distribution_matching import DistributionMatching
from .mse import SquaredError
from .zip import ZeroInflatedPoisson


def density_loss(recipe: Loss, *, stride: int) -> DensityLoss:
    """Return the loss of the density of a recipe's `loss`; `stride` is pixels per side of a density cell."""
    if isinstance(recipe, ZipLoss):
        return ZeroInflatedPoisson(recipe, stride=stride)
    if isinstance(recipe, DmLoss):
        return DistributionMatching(recipe, stride=stride)
    if isinstance(recipe, BayesianLoss):
        return BayesianCounts(recipe, stride=stride)
    return SquaredError(recipe, stride=stride)
