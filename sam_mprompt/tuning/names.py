"""What an adapter in an encoder may be called."""

from torch import nn

from ..errors import UsageError
from .selection import base_modules


def check_adapter_name(encoder: nn.Module, prefix: str, name: str) -> None:
    """Refuse names with which peft and torch would mix things up.

    peft tells adapters apart by a component of a tensor's name, so that saving beside an adapter "7" would drop
    block 7; torch keeps them in dictionaries of modules, which have methods such as "eval" and "items".

    Args:
        encoder: with or without adapters.
        prefix: how the names of the adapter's own layers start.
        name: as the user gives it.

    Raises:
        UsageError: a name that is not taken.
    """
    if not isinstance(name, str):
        raise UsageError(f"An adapter's name is text, got {name!r}")
    reserved = {"base_model", "model", "base_layer", "modules_to_save", "original_module"}
    for _, own_name, module in base_modules(encoder):
        reserved.update(own_name.split("."), (own for own, _ in module.named_parameters(recurse=False)))
    if (
        not name
        or not name.isprintable()
        or "." in name
        or name in prefix
        or prefix in name
        or name in reserved
        or hasattr(nn.ModuleDict, name)
        or hasattr(nn.ParameterDict, name)
    ):
        raise UsageError(
            f"'{name}' cannot name an adapter: expected a name without a dot that is no part of the encoder's "
            f"own names (such as 'blocks' or '7'), of '{prefix}' or of torch's vocabulary, for example 'station'"
        )
