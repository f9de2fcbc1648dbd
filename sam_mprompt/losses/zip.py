"""ZIP: counts of blocks as zero-inflated Poisson variables.

Source: ZIP: Scalable Crowd Counting via Zero-Inflated Poisson Modeling (Ma, Sanchez, Guha, 2025,
https://arxiv.org/abs/2506.19955). Terms and weights are those of its authors' training code, which was read for them
(https://github.com/Yiming-M/EBC-ZIP, in a copy; it names no licence). No code of others is in it.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..recipe.loss import ZipLoss
from .counts import BlockCounts, bin_of
from .density import PerSquare, Terms, heads_of
from .targets import Targets

SCALES = (1, 2, 4)
"""Blocks per side whose counts are compared."""


class ZeroInflatedPoisson:
    """L_den = NLL + `bin_weight` CE + `count` (MSC + C), each summed over a square of `density_scale` pixels.

    NLL is the negative log-likelihood of a block's annotated heads, whole numbers without a kernel. CE is the
    cross-entropy of the bin of a block's count, over blocks with heads: the rate is that of blocks with heads, and only
    these say which it is. MSC is that of `scale_errors`, C the absolute error of the crop's count.

    Args:
        recipe: weights.
        stride: pixels per side of a block, which is a cell of the density.
    """

    def __init__(self, recipe: ZipLoss, *, stride: int) -> None:
        self.recipe, self.stride = recipe, stride
        self.square = PerSquare(recipe.density_scale, stride)

    def __call__(self, density: Tensor, targets: Targets, counts: BlockCounts | None) -> Terms:
        """Compare with the heads of each block: see `DensityLoss`."""
        assert counts is not None, "a recipe with loss.kind = 'zip' builds a counter that predicts distributions"
        recipe, square = self.recipe, self.square
        blocks = heads_of(targets).per_cell((density.shape[-2], density.shape[-1]), self.stride)
        terms = {
            "likelihood": square.of(counts.negative_log_likelihood(blocks)),
            "bins": square.of(bin_errors(counts, blocks)),
            "scales": scale_errors(density, blocks).mean() * square.factor(density),
            "count": (density - blocks).sum(dim=(1, 2, 3)).abs().mean() * square.factor(density),
        }
        counted = terms["scales"] + terms["count"]
        own = terms["likelihood"] + recipe.bin_weight * terms["bins"] + recipe.count * counted
        return recipe.density * own, {"density": own, **terms}


def bin_errors(counts: BlockCounts, blocks: Tensor) -> Tensor:
    """Return the cross-entropy of the bin of each block's count, float32 (B, 1, h, w); zero where nobody is."""
    logits = counts.bins.float()
    error = F.cross_entropy(logits, bin_of(blocks[:, 0], logits.shape[1]), reduction="none")[:, None]
    return torch.where(blocks > 0, error, torch.zeros_like(error))


def scale_errors(density: Tensor, blocks: Tensor) -> Tensor:
    """Return (B,): absolute errors of the heads per block in squares of 1, 2 and 4 blocks, weighed by 1/4, 1/2 and 1.

    Squares that reach beyond the last row or column have nobody there.
    """
    rows, columns = density.shape[-2:]
    most = max(SCALES)
    error = F.pad(density - blocks, (0, -columns % most, 0, -rows % most))
    weighed = [F.avg_pool2d(error, scale).abs().sum(dim=(1, 2, 3)) * (scale / most) for scale in SCALES]
    return torch.stack(weighed).sum(dim=0)
