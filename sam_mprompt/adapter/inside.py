"""An adapter inside an encoder that counts: put there, measured, filled. Through peft only where it has to be."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import UsageError
from ..tuning.frozen import freeze_batch_norm
from ..tuning.prompted import PromptedEncoder, counts_without_peft
from .contents import OF_THE_HUB

DEFAULT = "default"
"""peft's name of an encoder's first adapter."""


def put_inside(encoder: nn.Module, config: Mapping[str, Any], name: str = DEFAULT) -> nn.Module:
    """Put an adapter into an encoder, bare or with others, and return the encoder with it; its weights are not filled.

    Args:
        encoder: changed in place.
        config: what the adapter's adapter_config.json says.
        name: a new one. The first adapter is active, others wait.

    Raises:
        UsageError: a configuration that nobody can attach, a name that is taken or cannot be one, or another kind of
            adapter than those that are there.
    """
    ours = counts_without_peft(config)
    if isinstance(encoder, PromptedEncoder) and ours:
        encoder.add(name, config)
        return encoder
    if ours and not hasattr(encoder, "peft_config"):
        freeze_batch_norm(encoder)
        prompted = PromptedEncoder(encoder)
        prompted.add(name, config)
        return prompted
    from ..tuning.attach import add_adapter
    from .peft_layout import config_from_dict

    read = config_from_dict(config)
    if isinstance(encoder, PromptedEncoder):
        from ..tuning.methods import method_of

        raise UsageError(
            f"'{name}' is a '{method_of(read.peft_type)}' adapter with settings of its own, and this encoder carries "
            "adapters of plain 'prompt'; one encoder takes one kind: load it onto an encoder of its own"
        )
    return add_adapter(encoder, read, name)


def outlined(outline: nn.Module, config: Mapping[str, Any]) -> nn.Module:
    """Return an encoder on the meta device with an adapter of shapes alone; as it is where that cannot be had.

    Raises:
        UsageError: what the configuration asks for cannot be had.
    """
    if counts_without_peft(config):
        with torch.device("meta"):
            return put_inside(outline, config)
    from ..tuning.attach import outline_adapter
    from .peft_layout import config_from_dict

    return outline_adapter(outline, config_from_dict(config))


def state_of(encoder: nn.Module, name: str = DEFAULT) -> dict[str, Tensor]:
    """Return one adapter's tensors, live, under peft's keys on disk. Raises UsageError for an unknown name."""
    if isinstance(encoder, PromptedEncoder):
        return encoder.state(name)
    from .peft_layout import adapter_state

    return adapter_state(encoder, name)


def config_of(encoder: nn.Module, name: str = DEFAULT) -> dict[str, Any]:
    """Return what adapter_config.json says about one adapter, naming no hub. Raises UsageError for an unknown name."""
    if isinstance(encoder, PromptedEncoder):
        return {**encoder.config_of(name), **OF_THE_HUB, "inference_mode": True}
    from .peft_layout import adapter_config_dict

    return adapter_config_dict(encoder, name)


def fill(encoder: nn.Module, tensors: Mapping[str, Tensor], name: str, source: str) -> None:
    """Fill one adapter, all of it or nothing, from tensors as `state_of` returns them.

    Raises:
        UsageError: there is no such adapter, or keys, shapes or kinds of numbers differ; nothing was changed then.
    """
    if isinstance(encoder, PromptedEncoder):
        encoder.fill(tensors, name, source)
        return
    from .peft_layout import load_adapter_state

    load_adapter_state(encoder, tensors, name, source)
