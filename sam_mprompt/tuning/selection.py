"""Find the parts of an encoder that are adapted, and tell the encoder's own tensors from those of its adapters."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Literal

from torch import Tensor, nn

from ..errors import UsageError, did_you_mean

_BLOCK = r"(?:.*\.)?blocks\.\d+"
_SUBLAYERS = {"attention": "attn", "mlp": "mlp"}
_NORMS = {"attention": "norm1", "mlp": "norm2"}

Blocks = Literal["all"] | Sequence[int]


def base_modules(module: nn.Module, path: str = "", name: str = "") -> Iterator[tuple[str, str, nn.Module]]:
    """Yield (path now, name before adapters were attached, module) for all but adapters and their wrappers."""
    if (inside := _inside(module)) is not None:
        yield from base_modules(getattr(module, inside), joined(path, inside), name)
        return
    yield path, name, module
    for child_name, child in module.named_children():
        yield from base_modules(child, joined(path, child_name), joined(name, child_name))


def _inside(module: nn.Module) -> str | None:
    """Return the attribute that holds what a module is wrapped around; None for what wraps nothing."""
    ours: str | None = getattr(type(module), "wraps", None)
    if ours is not None or "peft" not in sys.modules:
        return ours
    return next((inside for wrapper, inside in _peft_wrappers() if isinstance(module, wrapper)), None)


@cache
def _peft_wrappers() -> tuple[tuple[type, str], ...]:
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return (
        (PeftModel, "base_model"),
        (BaseTuner, "model"),
        (BaseTunerLayer, "base_layer"),
        (AuxiliaryTrainingWrapper, "original_module"),
    )


def base_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the state dict that a model has without its adapters, under the names from before they were attached."""
    state = model.state_dict()
    return {
        joined(name, own): state[joined(path, own)]
        for path, name, module in base_modules(model)
        for own, _ in chain(module.named_parameters(recurse=False), module.named_buffers(recurse=False))
        if joined(path, own) in state
    }


def joined(prefix: str, name: str) -> str:
    """Return `name` inside the module called `prefix`; the root's name is empty."""
    return f"{prefix}.{name}" if prefix else name


def block_width(block: nn.Module) -> int | None:
    """Return the features of a transformer block's tokens, as the norm beside its MLP tells them; None without one.

    The norm before or after the MLP, because attention may change the width where a stage begins (Hiera, MViT).
    """
    for name in (_NORMS["mlp"], _NORMS["attention"]):
        weight = getattr(getattr(block, name, None), "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 1:
            return len(weight)
    return None


def target_modules(encoder: nn.Module, method: str, placement: Sequence[str], blocks: Blocks) -> str:
    """Return a regular expression that matches the full names of what `method` adapts, and nothing else.

    Names as peft matches them by default, by their ending, would hit SAM's `patch_embed.proj` beside `attn.proj`.

    Args:
        encoder: with or without adapters; its blocks are the modules `blocks.N` that hold `attn` or `mlp`.
        method: "prompt" adapts sub-layers as a whole, "ln_tuning" the norms before them, others their linear layers.
        placement: "attention", "mlp" or both.
        blocks: "all", or positions counted from 0 through the whole encoder.

    Raises:
        UsageError: an unknown placement, a block that does not exist, or an encoder that has nothing of the kind.
    """
    if not placement or not set(placement) <= _SUBLAYERS.keys():
        wrong = next((place for place in placement if place not in _SUBLAYERS), "nothing")
        raise UsageError(
            f"tuning.placement: expected 'attention', 'mlp' or both, got {wrong!r}.{did_you_mean(wrong, _SUBLAYERS)}"
        )
    modules = {name: module for _, name, module in base_modules(encoder)}
    chosen, pattern = _chosen_blocks(encoder, method, modules, blocks)
    endings = {ending for block in chosen for place in placement for ending in _endings(modules, block, place, method)}
    if not endings:
        raise UsageError(
            f"tuning.placement = {list(placement)} names nothing that '{method}' could adapt in the blocks of "
            f"{type(encoder).__name__}; name the layers in tuning.options.target_modules"
        )
    return rf"{pattern}\.(?:{'|'.join(map(re.escape, sorted(endings)))})"


def _chosen_blocks(
    encoder: nn.Module, method: str, modules: Mapping[str, nn.Module], blocks: Blocks
) -> tuple[list[str], str]:
    """Return the names of the blocks to adapt and a regular expression for them."""
    found = [
        name
        for name in modules
        if re.fullmatch(_BLOCK, name) and any(f"{name}.{sublayer}" in modules for sublayer in _SUBLAYERS.values())
    ]
    if not found:
        raise UsageError(
            f"tuning.method = '{method}' adapts transformer blocks (blocks.N with attn or mlp), and "
            f"{type(encoder).__name__} has none; use tuning.method = 'full' or 'none'"
        )
    if isinstance(blocks, str):
        if blocks != "all":
            raise UsageError(f"tuning.blocks: expected 'all' or a list of numbers, got '{blocks}'")
        return found, _BLOCK
    if not blocks or min(blocks) < 0 or max(blocks) >= len(found):
        raise UsageError(f"tuning.blocks: expected 'all' or numbers from 0 to {len(found) - 1}, got {list(blocks)}")
    chosen = [found[index] for index in sorted(set(blocks))]
    return chosen, f"(?:{'|'.join(map(re.escape, chosen))})"


def _endings(modules: Mapping[str, nn.Module], block: str, place: str, method: str) -> list[str]:
    """Return what `method` adapts of one sub-layer, as names relative to the block."""
    sublayer = _SUBLAYERS[place]
    if method == "prompt":
        return [sublayer] if f"{block}.{sublayer}" in modules else []
    if method == "ln_tuning":
        return [_NORMS[place]] if f"{block}.{_NORMS[place]}" in modules else []
    linears = [
        name.removeprefix(f"{block}.")
        for name, module in modules.items()
        if isinstance(module, nn.Linear) and name.rpartition(".")[0] == f"{block}.{sublayer}"
    ]
    if method == "ia3":  # scales the keys and values, and what enters the last layer of the MLP
        return linears[:1] if place == "attention" else linears[-1:]
    return linears
