"""The adapters that an encoder carries side by side: switch between them, remove, disable or merge them."""

from collections.abc import Iterator
from contextlib import contextmanager

from peft import PeftConfig, PeftModel
from torch import nn

from ..errors import UsageError, did_you_mean
from .methods import method_of


def adapter_config(encoder: nn.Module, adapter_name: str = "default") -> PeftConfig:
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
    active = _tuned(encoder).active_adapters
    return active[0] if len(active) == 1 else None


def switch(encoder: nn.Module, adapter_name: str) -> None:
    """Make one adapter the active one, with gradients if it was added as trainable.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    config = adapter_config(encoder, adapter_name)
    _tuned(encoder).set_adapter(adapter_name, inference_mode=config.inference_mode)


def remove(encoder: nn.Module, adapter_name: str) -> None:
    """Delete an adapter that is not active.

    Raises:
        UsageError: there is no such adapter, or it is active: peft would pick its successor by itself.
    """
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
    tuned = _tuned(encoder)
    try:
        merged: nn.Module = tuned.merge_and_unload(safe_merge=True)
    except (NotImplementedError, AttributeError, TypeError) as error:
        method = method_of(tuned.peft_type)
        raise UsageError(f"peft cannot merge '{method}' into the base; keep the adapter beside it") from error
    return merged


def _tuned(encoder: nn.Module) -> PeftModel:
    if not isinstance(encoder, PeftModel):
        raise UsageError(f"This {type(encoder).__name__} carries no adapters; attach one first")
    return encoder
