"""Point and context prompts: the regressor and the segmenter guide each other (paper section 3, Eq. 1 to 3)."""

from torch import Tensor


def offline_prompt(pseudo_mask: Tensor, density: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Eq. 1: m = m_p OR B(y). Bool and float (B, 1, h, w) -> bool (B, 1, h, w).

    `threshold` is that of B(.), in heads per cell. At 0 a cell is somebody's as soon as a kernel's edge touches it.
    """
    return pseudo_mask | (density > threshold)


def online_prompt(mask: Tensor, predicted_density: Tensor, context_mask: Tensor, *, threshold: float = 0.0) -> Tensor:
    """Eq. 2: m <- (m OR B(y_hat)) AND m_K. Bool, float, bool (B, 1, h, w) -> bool; no gradient flows.

    `threshold` is that of B(.), as in Eq. 1.
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


def context_of_target(predicted_density: Tensor, mask: Tensor) -> Tensor:
    """Eq. 3 with the target of the segmenter in the place of its answer, a scalar in [-1, 0].

    The text of section 3.3 speaks of predictions that fall in the target mask. Such a mask is sure of each cell, so
    that no head in it is lowered, and each image has a say of its own. The regressor learns nothing of the segmenter.

    Args:
        predicted_density: float (B, 1, h, w), heads per cell.
        mask: bool (B, 1, h, w), of Eq. 1 or 2.
    """
    inside = (predicted_density * mask).sum((1, 2, 3))
    return -(inside / predicted_density.sum((1, 2, 3)).clamp(min=1.0)).mean()
