"""The joint loss of regressor and segmenter (paper section 3, Eq. 4)."""

from torch import Tensor
from torch.nn import functional as F

from ..recipe.loss import Loss
from .counts import BlockCounts
from .kinds import density_loss
from .prompts import context_loss, context_of_target, context_overlap, offline_prompt, online_prompt
from .targets import Targets


class MutualPromptLoss:
    """Eq. 4, L = l_d L_den + l_s L_seg + l_c L_con; L_den is the loss of the density that `loss.kind` names.

    L_seg and L_con are means and L_den is summed over a square of `density_scale` pixels, so that neither batch nor
    crop size changes the balance.

    Args:
        recipe: kind, weights and switches of the terms.
        stride: pixels per side of a density cell.

    Attributes:
        density_loss: l_d L_den.
    """

    def __init__(self, recipe: Loss, *, stride: int) -> None:
        self.recipe = recipe
        self.density_loss = density_loss(recipe, stride=stride)

    def target_mask(self, targets: Targets, predicted_density: Tensor, *, epoch: int) -> Tensor:
        """Return the segmenter's target, bool (B, 1, h, w), at a 0-based epoch (Eq. 1, and Eq. 2 from `kappa` on)."""
        mask = targets.pseudo_mask
        if self.recipe.offline:
            mask = offline_prompt(mask, targets.density, threshold=self.recipe.threshold)
        if self.recipe.online and epoch >= self.recipe.kappa:
            mask = online_prompt(mask, predicted_density, targets.context_mask, threshold=self.recipe.threshold)
        return mask

    def __call__(
        self,
        density: Tensor,
        mask_logits: Tensor | None,
        targets: Targets,
        *,
        epoch: int,
        counts: BlockCounts | None = None,
    ) -> dict[str, Tensor]:
        """Return scalars by name: each active term unweighted, Eq. 3's `overlap`, and their weighted sum `loss`.

        Args:
            density: predicted, float (B, 1, h, w), heads per cell.
            mask_logits: predicted, float (B, 1, h, w), or None without a segmenter.
            targets: of the same shape.
            epoch: 0-based.
            counts: the distribution behind the density, of a counter that predicts one.
        """
        recipe = self.recipe
        density = density.float()
        total, terms = self.density_loss(density, targets, counts)
        if mask_logits is not None:
            mask_logits = mask_logits.float()
            mask = self.target_mask(targets, density, epoch=epoch)
            terms["segmentation"] = F.binary_cross_entropy_with_logits(mask_logits, mask.float())
            total = total + recipe.segmentation * terms["segmentation"]
            terms["overlap"] = context_overlap(density, mask_logits, threshold=recipe.threshold)
            if recipe.context > 0:
                if recipe.context_by == "target":
                    terms["context"] = context_of_target(density, mask)
                else:
                    terms["context"] = context_loss(density, mask_logits)
                total = total + recipe.context * terms["context"]
        return {"loss": total, **terms}
