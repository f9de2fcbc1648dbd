"""The optimizer of a pre-training, and its learning rate over the budget."""

from typing import Any

from torch import nn

from ..training.muon import Muon
from ..training.schedule import falling, warming_up
from .recipe import PretrainSteps

_UNDECAYED = ("pos_embed", "rel_pos")
_PATCHES = "patch_embed."
# A step of Adam moves all of a patch's pixels alike, and their brightness agrees: at the full rate the tokens explode.
_PATCH_SHARE = 0.1
_BETAS = (0.9, 0.98)


def build_optimizer(train: PretrainSteps, model: nn.Module) -> Muon:
    """Return the optimizer of a whole model: AdamW, and with "muon" Muon for the matrices inside the blocks."""
    groups = parameter_groups(model, train.weight_decay, orthogonal=train.optimizer == "muon")
    return Muon(groups, lr=train.lr, betas=_BETAS)


def parameter_groups(model: nn.Module, weight_decay: float, *, orthogonal: bool) -> list[dict[str, Any]]:
    """Return parameter groups: biases, norms and positions are not decayed, patches learn at a `share` of the rate.

    With `orthogonal` the matrices inside the blocks are marked for Muon.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim > 1 and not any(part in name for part in _UNDECAYED)
        matrix = orthogonal and decayed and parameter.ndim == 2 and ".blocks." in name
        groups.setdefault((decayed, _PATCHES in name, matrix), []).append(parameter)
    return [
        {
            "params": found,
            "weight_decay": weight_decay * decayed,
            "share": _PATCH_SHARE if patches else 1.0,
            "orthogonal": matrix,
        }
        for (decayed, patches, matrix), found in groups.items()
    ]


def learning_rate(train: PretrainSteps, done: float) -> float:
    """Return the learning rate when a share `done` of the budget is used up: warm-up, then half a cosine to 0."""
    if done < train.warmup:
        return warming_up(train.lr, done, train.warmup, start=1e-4)
    return falling(train.lr, done, train.warmup, 1.0)
