"""The two files that peft and this project share, read and written strictly.

`adapter_model.safetensors`: whole, finite, every key exactly once, the same bytes for the same tensors.
`adapter_config.json`: the adapter's configuration, as peft lays it out, naming no hub repository.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping
from typing import Any

import peft
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor, nn

from ..errors import UsageError, did_you_mean, listed
from ..shown import cut
from ..tensor_files import check_tensors
from ..tuning.adapters import adapter_config
from ..tuning.methods import method_of, methods
from .contents import OF_THE_HUB

_LONGEST = 300
"""Characters of what peft says of values, which repeats them whole."""


def adapter_state(encoder: nn.Module, adapter_name: str = "default") -> dict[str, Tensor]:
    """Return one adapter's tensors under peft's on-disk keys (`base_model.model.blocks.0.attn.mprompt_down.weight`).

    Every key starts with `base_model.`; the tensors are the live ones, detached.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    adapter_config(encoder, adapter_name)
    state: dict[str, Tensor] = peft.get_peft_model_state_dict(
        encoder, adapter_name=adapter_name, save_embedding_layers=False
    )
    return state


def load_adapter_state(
    encoder: nn.Module, tensors: Mapping[str, Tensor], adapter_name: str = "default", source: str = "the given tensors"
) -> None:
    """Fill one adapter, all of it or nothing, from tensors as `adapter_state` returns them; dtypes follow the adapter.

    Raises:
        UsageError: there is no such adapter, or keys, shapes or kinds of numbers differ; nothing was changed then.
    """
    check_tensors(adapter_state(encoder, adapter_name), tensors, source)
    peft.set_peft_model_state_dict(encoder, dict(tensors), adapter_name=adapter_name)


def adapter_config_dict(encoder: nn.Module, adapter_name: str = "default") -> dict[str, Any]:
    """Return what `adapter_config.json` says about one adapter: plain JSON values, set to inference, naming no hub.

    Raises:
        UsageError: the encoder carries no adapter of that name.
    """
    values = adapter_config(encoder, adapter_name).to_dict()
    return {key: _plain(value) for key, value in sorted({**values, **OF_THE_HUB, "inference_mode": True}.items())}


def config_from_dict(values: Mapping[str, Any]) -> peft.PeftConfig:
    """Return the peft configuration that an `adapter_config.json` describes, whatever hub repository it may name.

    Raises:
        UsageError: an unknown peft type, a key that the type does not have, or a value that it does not take.
    """
    keys = _keys_by_type()
    peft_type = str(values.get("peft_type"))
    if peft_type not in keys:
        raise UsageError(
            f"adapter_config.json: expected a peft_type that peft {peft.__version__} puts into encoders, got "
            f"'{cut(peft_type, _LONGEST)}'.{did_you_mean(peft_type, keys)}"
        )
    known = keys[peft_type]
    if unknown := values.keys() - known:
        raise UsageError(
            f"adapter_config.json: {peft_type} has no {listed(unknown)}."
            f"{did_you_mean(min(unknown), known)} It may have been written for another version of peft."
        )
    try:
        config = PEFT_TYPE_TO_CONFIG_MAPPING[peft_type](**{**values, **OF_THE_HUB})
        if isinstance(config.target_modules, str):
            re.compile(config.target_modules)
    except Exception as error:  # peft's classes check what they are given with whatever comes to hand
        why = cut(str(error), _LONGEST)
        raise UsageError(f"adapter_config.json: {peft_type} does not take these values: {why}") from error
    return config


def _keys_by_type() -> dict[str, set[str]]:
    """Return the configuration's keys by peft type, for the types that a recipe can train.

    Others are made for language models, and one of them fetches a model of any name from the hub.
    """
    suited = set(methods())
    kinds = {kind: config for kind, config in PEFT_TYPE_TO_CONFIG_MAPPING.items() if method_of(kind) in suited}
    return {_plain(kind): {entry.name for entry in dataclasses.fields(config)} for kind, config in kinds.items()}


def _plain(value: Any) -> Any:
    """Return a configuration value as JSON has it: sets sorted, enumerations by value."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
