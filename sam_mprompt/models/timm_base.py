"""Which timm model a base names, and where its weights are: registered bases stand beside timm's own names."""

from pathlib import Path

from ..bases.locate import CHECKPOINT_SUFFIXES, resolve
from ..bases.registry import lookup, read_registry
from ..recipe.model import TimmModel


def timm_base(model: TimmModel, base: str) -> str:
    """Return the name of the base that is meant, which `base` may give as a file of its weights."""
    return model.base if Path(base).suffix in CHECKPOINT_SUFFIXES else base


def timm_model(base: str) -> str:
    """Return the timm model of a base: a registered one's, else what it is called."""
    entry = lookup(base, read_registry())
    return entry.timm if entry is not None and entry.timm else base


def timm_weights(model: TimmModel, base: str) -> str:
    """Return the file of weights that a recipe starts from, or "" where timm's own or random ones are meant.

    Raises:
        UsageError: the weights of a registered base are not on this machine.
    """
    if timm_base(model, base) != base:
        return base
    if model.weights or not model.pretrained or timm_model(base) == base:
        return model.weights
    return str(resolve(base))


def registered_timm_bases() -> list[str]:
    """Return the names of the registered bases that timm's networks read."""
    return [name for name, entry in read_registry().items() if entry.timm]
