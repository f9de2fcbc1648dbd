"""What a counter is trained to lower: losses of the density, one module each, and mutual prompts around them."""

from .counts import BlockCounts
from .joint import MutualPromptLoss
from .prompts import context_loss, context_of_target, context_overlap, offline_prompt, online_prompt
from .targets import Heads, Targets

__all__ = [
    "BlockCounts",
    "Heads",
    "MutualPromptLoss",
    "Targets",
    "context_loss",
    "context_of_target",
    "context_overlap",
    "offline_prompt",
    "online_prompt",
]
