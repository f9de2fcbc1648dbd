"""A base that adapters share stays what it is, bit for bit: what is checked and arranged so that it does."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import UsageError
from .selection import base_tensors

if TYPE_CHECKING:
    from peft import PeftConfig


def freeze_batch_norm(encoder: nn.Module) -> None:
    """Make a frozen encoder's normalisation layers use, and never update, the running statistics they came with."""
    for module in encoder.modules():
        if getattr(module, "running_mean", None) is not None:
            module.register_forward_pre_hook(_evaluate)


def checksums(encoder: nn.Module) -> dict[str, int]:
    """Return a number for each tensor of the base, by name, that changes when its bits do; takes milliseconds."""
    return {name: int(torch.hash_tensor(tensor.cpu()).item()) for name, tensor in base_tensors(encoder).items()}


def check_bias(config: "PeftConfig") -> None:
    """Check that an adapter does not train, and later store, the base's own biases, as some methods of peft offer.

    Raises:
        UsageError: `bias` is not "none".
    """
    if (bias := getattr(config, "bias", "none")) != "none":
        raise UsageError(
            f"tuning.options.bias: expected 'none', got '{bias}': it trains the base, which adapters share"
        )


def check_base(encoder: nn.Module, before: Mapping[str, int]) -> None:
    """Check that attaching an adapter has left the base alone, which initialisations such as PiSSA do not.

    Args:
        encoder: with the adapter.
        before: `checksums` of the encoder without it.

    Raises:
        UsageError: the base was rewritten; it has to be loaded anew.
    """
    if changed := [name for name, checksum in checksums(encoder).items() if checksum != before[name]]:
        raise UsageError(
            f"This configuration rewrites the base, which adapters share ({changed[0]} and {len(changed) - 1} more "
            "tensors): use the method's default initialisation, and load the base anew"
        )


def _evaluate(module: nn.Module, _inputs: Any) -> None:
    if module.training:
        module.eval()
