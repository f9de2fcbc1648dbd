"""Mutual prompt learning: the regressor and the segmenter guide each other (paper section 3, Eq. 1 to 4)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .recipe.schema import LossRecipe


@dataclass(frozen=True)
class Targets:
    """What a batch is trained on; every tensor is (B, 1, h, w) on the density's cells.

    Attributes:
        density: float, heads per cell.
        pseudo_mask: bool, m_p of Eq. 1.
        context_mask: bool, m_K of Eq. 2.
    """

    density: Tensor
    pseudo_mask: Tensor
    context_mask: Tensor

    def to(self, device: torch.device) -> "Targets":
        """Return a copy on `device`."""
        move = {name: value.to(device, non_blocking=True) for name, value in vars(self).items()}
        return Targets(**move)

    def pin_memory(self) -> "Targets":
        """Return a copy in memory that a GPU can fetch from while the CPU goes on."""
        return Targets(**{name: value.pin_memory() for name, value in vars(self).items()})


def offline_prompt(pseudo_mask: Tensor, density: Tensor) -> Tensor:
    """Eq. 1: m = m_p OR B(y). Bool and float (B, 1, h, w) -> bool (B, 1, h, w)."""
    return pseudo_mask | (density > 0)


def online_prompt(mask: Tensor, predicted_density: Tensor, context_mask: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Eq. 2: m <- (m OR B(y_hat)) AND m_K. Bool, float, bool (B, 1, h, w) -> bool; no gradient flows.

    `threshold` is that of B(.), in heads per cell.
    """
    return (mask | (predicted_density.detach() > threshold)) & context_mask


def context_overlap(predicted_density: Tensor, mask_logits: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Eq. 3 itself, a scalar in [-1, 0]: minus the share of B(y_hat) inside B(m_hat). A metric: it has no gradient."""
    counted = predicted_density.detach() > threshold
    return -(counted & (mask_logits.detach() > 0)).sum() / counted.sum().clamp(min=1)


def context_loss(predicted_density: Tensor, mask_logits: Tensor) -> Tensor:
    """A surrogate of Eq. 3 with a gradient, a scalar in [-1, 0]: minus the share of predicted heads inside the mask.

    Eq. 3 counts binarised cells, through which nothing flows back. Here the predicted density (float (B, 1, h, w),
    heads per cell) is weighed instead of counted, by the probability sigmoid(m_hat) instead of its binarisation, so
    that a segmenter that is not sure of anything yet moves nothing: heads that it does not know would be erased
    otherwise. The mask is held fixed: the segmenter prompts the regressor and not the other way. Below one predicted
    head the sum is taken as one: an empty crop has no say.
    """
    probability = mask_logits.detach().sigmoid()
    return -(predicted_density * probability).sum() / predicted_density.sum().clamp(min=1.0)


class MutualPromptLoss:
    """Eq. 4, L = l_d L_den + l_s L_seg + l_c L_con, and the optional count term.

    Every term is a mean, so that neither batch nor crop size changes the balance. L_den is the mean squared error of
    the density per *pixel* times `density_scale`**2: with the scale at the crop's side it equals the sum of squared
    errors of one crop, whatever the density's stride. The count term is the absolute error of the number of heads in a
    square of that side.

    Args:
        recipe: weights and switches of the terms.
        stride: pixels per side of a density cell.
    """

    def __init__(self, recipe: LossRecipe, *, stride: int) -> None:
        self.recipe = recipe
        self.density_factor = recipe.density_scale / stride**2

    def target_mask(self, targets: Targets, predicted_density: Tensor, *, epoch: int) -> Tensor:
        """Return the segmenter's target, bool (B, 1, h, w), at a 0-based epoch (Eq. 1, and Eq. 2 from `kappa` on)."""
        mask = targets.pseudo_mask
        if self.recipe.offline:
            mask = offline_prompt(mask, targets.density)
        if self.recipe.online and epoch >= self.recipe.kappa:
            mask = online_prompt(mask, predicted_density, targets.context_mask, threshold=self.recipe.threshold)
        return mask

    def __call__(
        self, density: Tensor, mask_logits: Tensor | None, targets: Targets, *, epoch: int
    ) -> dict[str, Tensor]:
        """Return scalars by name: each active term unweighted, Eq. 3's `overlap`, and their weighted sum `loss`.

        Args:
            density: predicted, float (B, 1, h, w), heads per cell.
            mask_logits: predicted, float (B, 1, h, w), or None without a segmenter.
            targets: of the same shape.
            epoch: 0-based.
        """
        recipe = self.recipe
        density = density.float()
        terms = {"density": F.mse_loss(density * self.density_factor, targets.density * self.density_factor)}
        total = recipe.density * terms["density"]
        if recipe.count > 0:
            error = (density - targets.density).mean(dim=(1, 2, 3)).abs().mean()
            terms["count"] = error * self.density_factor * recipe.density_scale
            total = total + recipe.count * terms["count"]
        if mask_logits is not None:
            mask_logits = mask_logits.float()
            mask = self.target_mask(targets, density, epoch=epoch)
            terms["segmentation"] = F.binary_cross_entropy_with_logits(mask_logits, mask.float())
            total = total + recipe.segmentation * terms["segmentation"]
            terms["overlap"] = context_overlap(density, mask_logits, threshold=recipe.threshold)
            if recipe.context > 0:
                terms["context"] = context_loss(density, mask_logits)
                total = total + recipe.context * terms["context"]
        return {"loss": total, **terms}
