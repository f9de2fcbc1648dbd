"""Counts of blocks as random numbers: the zero-inflated Poisson distribution, and the bins that its rate is made of.

Source: ZIP (Ma, Sanchez, Guha, 2025, https://arxiv.org/abs/2506.19955) for the distribution; CLIP-EBC (the same,
2024, https://arxiv.org/abs/2403.09281) for bins of whole counts whose centres are the means of the counts in them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ..arrays import FloatArray

LEAST_RATE = 1e-6
"""Below any bin's centre; the logarithm of a rate stays finite whatever a file says."""

_UNSEEN = 0.5
"""What a bin is taken to have seen beside its blocks, so that one without any can still be predicted."""


@dataclass(frozen=True)
class BlockCounts:
    """Zero-inflated Poisson distributions of the counts of blocks: P(0) = pi + (1 - pi) exp(-lambda), else Poisson.

    Attributes:
        emptiness: float (B, 1, h, w), logit of pi, the probability that a block can hold nobody.
        bins: float (B, n, h, w), logits of the bins of counts above zero.
        centres: float (n,), the count that each bin stands for.
    """

    emptiness: Tensor
    bins: Tensor
    centres: Tensor

    @property
    def rate(self) -> Tensor:
        """lambda, float32 (B, 1, h, w): the mean of the bins' centres, weighed by their probabilities."""
        weights = self.bins.float().softmax(dim=1)
        return (weights * self.centres.view(1, -1, 1, 1)).sum(dim=1, keepdim=True).clamp(min=LEAST_RATE)

    @property
    def density(self) -> Tensor:
        """The expected count (1 - pi) lambda, float32 (B, 1, h, w), above zero."""
        return torch.sigmoid(-self.emptiness.float()) * self.rate

    def negative_log_likelihood(self, counts: Tensor) -> Tensor:
        """Return -log P(counts), float32 (B, 1, h, w), for whole counts (B, 1, h, w)."""
        empty, rate = self.emptiness.float(), self.rate
        # log(1 - pi) and log pi, each without the other's rounding.
        log_inhabited, log_empty = F.logsigmoid(-empty), F.logsigmoid(empty)
        nobody = torch.logaddexp(log_empty, log_inhabited - rate)
        somebody = log_inhabited + counts * rate.log() - rate - torch.lgamma(counts + 1)
        return -torch.where(counts > 0, somebody, nobody)


def bin_edges(bins: int) -> NDArray[np.int64]:
    """Return int64 (bins,): the smallest count of each bin; the last one has no end.

    Counts up to 6 have a bin each; from there on a bin begins a quarter above the one before: 8, 10, 13, ...
    """
    edges = [1]
    while len(edges) < bins:
        edges.append(max(edges[-1] + 1, (5 * edges[-1] + 2) // 4))
    return np.array(edges)


def bin_of(counts: Tensor, bins: int) -> Tensor:
    """Return the number of the bin that each count above zero falls into, int64 of the same shape; 0 also for none."""
    edges = torch.from_numpy(bin_edges(bins)).to(counts.device, counts.dtype)
    return (torch.bucketize(counts, edges, right=True) - 1).clamp(min=0)


@dataclass(frozen=True)
class BinStatistics:
    """What the blocks of the training images say about a counter's start.

    Attributes:
        centres: float32 (n,), the mean of the counts in each bin; its smallest count where there are none.
        frequencies: float64 (n,), shares of the inhabited blocks, that sum to 1; none is zero.
        emptiness: pi with which the expected count of a block is the images' own mean.
    """

    centres: FloatArray
    frequencies: NDArray[np.float64]
    emptiness: float

    @classmethod
    def of(cls, blocks: Sequence[FloatArray], bins: int) -> "BinStatistics":
        """Measure the counts of blocks, whole numbers, an array of any shape an image."""
        counts = np.concatenate([block.ravel() for block in blocks])
        edges = bin_edges(bins)
        inhabited = counts[counts > 0].astype(np.float64)
        own = np.searchsorted(edges, inhabited, side="right") - 1
        seen = np.bincount(own, minlength=bins)
        sums = np.bincount(own, inhabited, minlength=bins)
        centres = np.where(seen > 0, sums / np.maximum(seen, 1), edges)
        frequencies = (seen + _UNSEEN) / (seen + _UNSEEN).sum()
        rate = float((frequencies * centres).sum())
        emptiness = 1 - float(counts.mean(dtype=np.float64)) / rate
        return cls(centres.astype(np.float32), frequencies, float(np.clip(emptiness, 1e-3, 1 - 1e-3)))
