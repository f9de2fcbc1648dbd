"""Which methods there are: ours, those that put nothing into the encoder, and those of peft that suit it."""

import dataclasses
from typing import Any

from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

from ..errors import UsageError, did_you_mean
from ..recipe.tuning import BARE, UNSUITED
from .prompt import PEFT_TYPE

OWN_SETTINGS: dict[str, dict[str, Any]] = {
    "dora": {"use_dora": True},
    "ia3": {"feedforward_modules": r".*\.mlp\.[^.]+"},
    # Without these two the adapted encoder would not start as the base.
    "c3a": {"init_weights": True},
    "fourierft": {"init_weights": True},
}
"""Settings of a method that differ from peft's defaults."""


def methods() -> list[str]:
    """Return every value that `tuning.method` takes."""
    of_peft = {
        method_of(peft_type)
        for peft_type, config in PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if peft_type in PEFT_TYPE_TO_TUNER_MAPPING and "target_modules" in options_of(config)
    }
    return ["prompt", *BARE, *sorted((of_peft | {"dora"}) - {"prompt"} - UNSUITED.keys())]


def config_class_of(method: str) -> type[PeftConfig]:
    """Return the class of a method's configuration.

    Raises:
        UsageError: no such method, one that puts nothing into the encoder, or one of peft that does not suit it.
    """
    known = methods()
    if method not in known or method in BARE:
        reason = f"got '{method}'"
        if method in UNSUITED:
            reason = f"'{method}' is not for image encoders: {UNSUITED[method]}"
        raise UsageError(f"tuning.method: {reason}.{did_you_mean(method, known)} Choose one of: {', '.join(known)}")
    return PEFT_TYPE_TO_CONFIG_MAPPING[{"prompt": PEFT_TYPE, "dora": "LORA"}.get(method, method.upper())]


def options_of(config_class: type[PeftConfig]) -> set[str]:
    """Return the settings that are a method's own, without those that say where and by whom an adapter was made."""
    general = {entry.name for entry in dataclasses.fields(PeftConfig)}
    return {entry.name for entry in dataclasses.fields(config_class)} - general


def method_of(peft_type: str) -> str:
    """Return the value of `tuning.method` for a peft type, which peft keeps as a string or as a string enumeration."""
    return "prompt" if peft_type == PEFT_TYPE else str(getattr(peft_type, "value", peft_type)).lower()
