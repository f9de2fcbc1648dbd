"""The adapters that an encoder carries side by side: switch between them, remove, disable or merge them.

An encoder that was tuned is a `peft.PeftModel`; one that counts with prompt modules is a `PromptedEncoder`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch import nn

from ..errors import UsageError, did_you_mean
from .prompt import UNMERGEABLE
from .prompted import PromptedEncoder

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel


def adapter_config(encoder: nn.Module, adapter_name: str = "default") -> "PeftConfig":
    """Return the configuration of one adapter of a tuned encoder.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    configs = _tuned(encoder).peft_config
    if adapter_name not in configs:
        raise UsageError(
            f"The encoder has no adapter '{adapter_name}'.{did_you_mean(adapter_name, configs)} "
            f"It has: {', '.join(sorted(configs))}"
        )
    return configs[adapter_name]


def active_adapter(encoder: nn.Module) -> str | None:
    """Return the name of the one active adapter; None where there are several, or none."""
    if isinstance(encoder, PromptedEncoder):
        return encoder.active
    active = _tuned(encoder).active_adapters
    return active[0] if len(active) == 1 else None


def switch(encoder: nn.Module, adapter_name: str) -> None:
    """Make one adapter the active one, with gradients if it was added as trainable.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    if isinstance(encoder, PromptedEncoder):
        encoder.switch(adapter_name)
        return
    config = adapter_config(encoder, adapter_name)
    _tuned(encoder).set_adapter(adapter_name, inference_mode=config.inference_mode)


def remove(encoder: nn.Module, adapter_name: str) -> None:
    """Delete an adapter that is not active.

    Raises:
        UsageError: there is no such adapter, or it is active: peft would pick its successor by itself.
    """
    if isinstance(encoder, PromptedEncoder):
        encoder.remove(adapter_name)
        return
    adapter_config(encoder, adapter_name)
    if adapter_name in _tuned(encoder).active_adapters:
        raise UsageError(f"Adapter '{adapter_name}' is active; switch to another one before removing it")
    _tuned(encoder).delete_adapter(adapter_name)


@contextmanager
def disable(encoder: nn.Module) -> Iterator[None]:
    """Within the block the encoder is exactly its base; afterwards all is as before, gradients included.

    Raises:
        UsageError: the encoder carries no adapter.
    """
    if isinstance(encoder, PromptedEncoder):
        with encoder.disabled():
            yield
        return
    tuned = _tuned(encoder)
    before = [(parameter, parameter.requires_grad) for parameter in tuned.parameters()]
    try:
        with tuned.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in before:
            parameter.requires_grad = requires_grad


def merge(encoder: nn.Module) -> nn.Module:
    """Fold the active adapter into the base's weights and return the bare encoder; the tuned one is used up.

    Raises:
        UsageError: the method cannot be merged, as prompt modules cannot, or the encoder carries no adapter.
    """
    if isinstance(encoder, PromptedEncoder):
        raise UsageError(UNMERGEABLE)
    from .methods import method_of

    tuned = _tuned(encoder)
    try:
        merged: nn.Module = tuned.merge_and_unload(safe_merge=True)
    except (NotImplementedError, AttributeError, TypeError) as error:
        method = method_of(tuned.peft_type)
        raise UsageError(f"peft cannot merge '{method}' into the base; keep the adapter beside it") from error
    return merged


def _tuned(encoder: nn.Module) -> "PeftModel":
    if "peft" in sys.modules:
        from peft import PeftModel

        if isinstance(encoder, PeftModel):
            return encoder
    raise UsageError(f"This {type(encoder).__name__} carries no adapters; attach one first")
