"""A counter that is small enough to train a step by hand, and batches for it."""

import torch
from torch import nn

from sam_mprompt.data.dataset import Batch
from sam_mprompt.losses import Targets
from sam_mprompt.models.counter import CrowdCounter
from sam_mprompt.recipe.schema import SamModel

SIDE = 16


class Patches(nn.Module):
    """An encoder of one convolution."""

    out_channels, stride, size_divisor = 6, 4, 4
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
    level_channels, level_strides = (3, 6), (4, 4)

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 6, 4, 4)

    def forward(self, images, *, levels=False):
        features = self.patch(images)
        return [features[:, :3], features] if levels else [features]


def small_counter(*, segmenter=False, seed=0, **model):
    """Every parameter is random and trained; its density has cells of four pixels."""
    torch.manual_seed(seed)
    counter = CrowdCounter(Patches(), SamModel(**model), segmenter=segmenter)
    nn.init.normal_(counter.regressor.output.weight, std=0.5)
    return counter


def batch_of(seed, *, epoch=0, size=2):
    """Noise with random heads; its images are numbered from 10 * seed on."""
    generator = torch.Generator().manual_seed(seed)
    cells = (size, 1, SIDE // 4, SIDE // 4)
    masks = [torch.rand(cells, generator=generator) > 0.5 for _ in range(2)]
    return Batch(
        torch.randint(0, 256, (size, 3, SIDE, SIDE), generator=generator, dtype=torch.uint8),
        [(SIDE, SIDE)] * size,
        Targets(torch.rand(cells, generator=generator), *masks),
        [(epoch, 10 * seed + i) for i in range(size)],
    )
