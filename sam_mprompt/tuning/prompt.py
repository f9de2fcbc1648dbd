"""The prompt module itself, without anything of peft (`prompt_tuner` is peft's face of it).

It is the serial bottleneck adapter of Houlsby et al. 2019 (https://arxiv.org/abs/1902.00751, figure 2), put behind the
attention and the MLP of an encoder block, which is where mPrompt (CVPR 2024) has it.
"""

import math

import torch.nn.functional as F
from torch import Tensor, nn


class PromptModule(nn.Module):
    """What is added to the output y of a sub-layer: up(GELU(down(y))), (..., features) -> the same.

    A new `up` is zero, so that nothing is added at first.

    Args:
        features: C, of the sub-layer's output.
        bottleneck: its width; there are 2 C bottleneck + bottleneck + C parameters.
    """

    def __init__(self, features: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(features, bottleneck)
        self.up = nn.Linear(bottleneck, features)
        nn.init.kaiming_uniform_(self.down.weight, a=math.sqrt(5))
        for zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(zero)

    def forward(self, y: Tensor) -> Tensor:
        """Return what is added to `y`."""
        return prompt(y, self.down, self.up)


def prompt(y: Tensor, down: nn.Module, up: nn.Module) -> Tensor:
    """Return up(GELU(down(y))), for two layers that are kept apart, as the adapters of one encoder keep them."""
    added: Tensor = up(F.gelu(down(y)))
    return added
