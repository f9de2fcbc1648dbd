"""The prompt module itself, without anything of peft (`prompt_tuner` is peft's face of it, `prompted` counts with it).

It is the serial bottleneck adapter of Houlsby et al. 2019 (https://arxiv.org/abs/1902.00751, figure 2), put behind the
attention and the MLP of an encoder block, which is where mPrompt (CVPR 2024) has it.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import UsageError
from ..products import is_plain, product_of_gelu

PEFT_TYPE, PREFIX = "MPROMPT", "mprompt_"
"""What peft's files call them, and how the names of their layers start."""

UNMERGEABLE = (
    "Prompt modules cannot be merged into the base: the GELU between their two layers has no counterpart in "
    "its weights. Keep the adapter beside the base, or train with tuning.method = 'lora', which can be merged."
)


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


def output_layer(sublayer: nn.Module, width: int | None = None) -> nn.Linear:
    """Return the linear layer that makes the output of a block's sub-layer: by convention the last one it defines.

    Args:
        sublayer: attention or MLP.
        width: features of the block, where they are known from elsewhere.

    Raises:
        UsageError: a list of layers; there is none, or one of another width, which then does not make the output.
    """
    if type(sublayer).forward is nn.Module.forward:
        raise UsageError(f"{type(sublayer).__name__} is a list of layers; point the prompt modules at sub-layers")
    linears = [(name, module) for name, module in sublayer.named_modules() if isinstance(module, nn.Linear)]
    if not linears:
        raise UsageError(
            f"{type(sublayer).__name__} contains no nn.Linear whose out_features would tell its number of features; "
            "point the prompt modules at attention or MLP sub-layers"
        )
    name, layer = linears[-1]
    if width not in (None, layer.out_features):
        raise UsageError(
            f"its last linear layer, {name}, makes {layer.out_features} features of the block's {width}, so that "
            "it is not its output. Use tuning.method = 'lora', or name other sub-layers in tuning.placement"
        )
    return layer


def prompt(y: Tensor, down: nn.Module, up: nn.Module) -> Tensor:
    """Return up(GELU(down(y))), for two layers that are kept apart, as the adapters of one encoder keep them."""
    narrow: Tensor = down(y)
    if torch.is_grad_enabled() and is_plain(up, narrow):
        return product_of_gelu(narrow, up.weight, up.bias)
    added: Tensor = up(F.gelu(narrow))
    return added
