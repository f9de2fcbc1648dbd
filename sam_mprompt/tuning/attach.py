"""Decide what of an encoder trains: attach prompt modules or any peft method, freeze it, or open all of it.

A tuned encoder is a `peft.PeftModel`: it is called like the encoder, passes the encoder's attributes through, and keeps
several adapters of one kind side by side.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from ..errors import UsageError, did_you_mean
from ..recipe.tuning import BARE
from .asked import check_config
from .frozen import check_base, check_bias, checksums, freeze_batch_norm
from .methods import OWN_SETTINGS, config_class_of, method_of, options_of
from .names import check_adapter_name
from .selection import Blocks, base_modules, target_modules

VALUES_FIRST = ("boft", "frod", "shira")
"""Methods of peft that compute with values while they are attached."""


def attach(
    encoder: nn.Module,
    method: str = "prompt",
    *,
    bottleneck: int = 192,
    placement: Sequence[str] = ("attention", "mlp"),
    blocks: Blocks = "all",
    options: Mapping[str, Any] | None = None,
    adapter_name: str = "default",
) -> nn.Module:
    """Prepare an encoder for training and return it; afterwards only what `method` says has gradients.

    Args:
        encoder: any module whose transformer blocks are named `blocks.N` and hold `attn` and `mlp` (SAM, timm's ViT and
            Swin). It is changed in place. When it carries adapters already, another is added that waits for `switch`.
        method: "prompt"; "none" (frozen as it is); "side" (the same here: what trains stands beside the encoder, see
            `models.decoders.SideNetwork`); "full" (everything trains); or a peft method's name such as "lora".
        bottleneck: width of a prompt module; other methods do not use it.
        placement: which sub-layers are adapted, "attention", "mlp" or both.
        blocks: "all", or the positions of the adapted blocks, counted from 0 through the whole encoder.
        options: the method's own settings under peft's names, for example {"r": 16}; they win over those above.
        adapter_name: name of the new adapter; not used by `BARE` methods.

    Returns:
        The encoder itself for `BARE` methods, else a `peft.PeftModel` around it. It starts as exactly the base
        (up to rounding with methods that rotate weights, such as "boft").

    Raises:
        UsageError: an unknown or unsuited method, unknown options or values, blocks or sub-layers that the encoder
            does not have, a name that is taken, or settings that would change or train the base itself.
    """
    if method not in BARE:
        config = tuner_config(
            encoder, method, bottleneck=bottleneck, placement=placement, blocks=blocks, options=options or {}
        )
        return add_adapter(encoder, config, adapter_name, trainable=True)
    if options:
        raise UsageError(f"tuning.options: '{method}' takes none, got {', '.join(sorted(options))}")
    if isinstance(encoder, PeftModel):
        raise UsageError(f"tuning.method = '{method}' needs a bare encoder, and this one carries adapters")
    encoder.requires_grad_(method == "full")
    if method != "full":
        freeze_batch_norm(encoder)
    return encoder


def tuner_config(
    encoder: nn.Module,
    method: str,
    *,
    bottleneck: int = 192,
    placement: Sequence[str] = ("attention", "mlp"),
    blocks: Blocks = "all",
    options: Mapping[str, Any],
) -> PeftConfig:
    """Return the peft configuration of a method for this encoder; arguments and errors are those of `attach`."""
    config_class = config_class_of(method)
    known = options_of(config_class)
    if unknown := sorted(options.keys() - known):
        raise UsageError(
            f"tuning.options: '{method}' has no option '{unknown[0]}'.{did_you_mean(unknown[0], known)} "
            f"It has: {', '.join(sorted(known))}"
        )
    settings = dict(OWN_SETTINGS.get(method, {}))
    if method == "prompt":
        settings["bottleneck"] = bottleneck
    if "target_modules" not in options:
        settings["target_modules"] = target_modules(encoder, method, placement, blocks)
    elif blocks != "all":
        raise UsageError("tuning.blocks and tuning.options.target_modules both say which layers are adapted; give one")
    try:
        return config_class(**{**settings, **options})
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"tuning.options: peft does not take them for '{method}': {error}") from error


def add_adapter(
    encoder: nn.Module, config: PeftConfig, adapter_name: str = "default", *, trainable: bool = False
) -> PeftModel:
    """Attach a freshly initialised adapter and return the tuned encoder; the first one is active, others wait.

    Args:
        encoder: a bare encoder, which is frozen and wrapped, or a tuned one, which gets a further adapter.
        config: from `tuner_config`, or from an adapter folder by `adapter.peft_layout.config_from_dict`.
        adapter_name: a new name.
        trainable: whether the adapter has gradients while it is active.

    Raises:
        UsageError: peft refuses the configuration, the name is taken or could be mistaken for one inside the encoder,
            two kinds of adapters would meet, or the base would be changed or trained. A tuned encoder then works on as
            before; a bare one has to be built anew.
    """
    check_adapter_name(encoder, PEFT_TYPE_TO_PREFIX_MAPPING[config.peft_type], adapter_name)
    _check_company(encoder, config, adapter_name)
    check_config(config, [name for _, name, _ in base_modules(encoder)])
    check_bias(config)
    config.inference_mode = not trainable
    config.base_model_name_or_path = None  # else peft asks a hub about it when saving
    training, before = encoder.training, checksums(encoder)
    try:
        if isinstance(encoder, PeftModel):
            encoder.add_adapter(adapter_name, config)
            tuned = encoder
        else:
            freeze_batch_norm(encoder)
            tuned = PeftModel(encoder, config, adapter_name)
        check_base(tuned, before)
    except Exception as error:
        if isinstance(encoder, PeftModel):
            _forget(encoder, adapter_name)
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"peft cannot attach '{method_of(config.peft_type)}': {error}") from error
    tuned.train(training)  # new layers come in training mode, with dropout, also into an encoder that only counts
    return tuned


def outline_adapter(outline: nn.Module, config: PeftConfig) -> nn.Module:
    """Return an encoder on the meta device with an adapter whose tensors have shapes and take no memory.

    Three methods compute with values where they are made, and cannot be had so (`VALUES_FIRST`): the encoder is then
    returned as it is.

    Raises:
        UsageError: what the configuration asks for cannot be had, as `add_adapter` says.
    """
    check_config(config, [name for _, name, _ in base_modules(outline)])
    if method_of(config.peft_type) in VALUES_FIRST:
        return outline
    try:
        with torch.device("meta"):
            return PeftModel(outline, copy.deepcopy(config), "default")
    except Exception as error:
        raise UsageError(f"peft cannot attach '{method_of(config.peft_type)}': {error}") from error


def _check_company(encoder: nn.Module, config: PeftConfig, adapter_name: str) -> None:
    """Refuse a second adapter of the same name, or of another kind than those that are there."""
    if not isinstance(encoder, PeftModel):
        return
    if adapter_name in encoder.peft_config:
        raise UsageError(f"The encoder already has an adapter '{adapter_name}'; choose another name")
    if config.peft_type != encoder.peft_type:
        raise UsageError(
            f"'{adapter_name}' is a '{method_of(config.peft_type)}' adapter, and this encoder carries adapters of "
            f"'{method_of(encoder.peft_type)}'; one encoder takes one kind: load it onto an encoder of its own"
        )


def _forget(tuned: PeftModel, adapter_name: str) -> None:
    """Take out what a failed `add_adapter` left behind."""
    tuned.peft_config.pop(adapter_name, None)
    for module in tuned.modules():
        if isinstance(module, BaseTunerLayer):
            module.delete_adapter(adapter_name)
