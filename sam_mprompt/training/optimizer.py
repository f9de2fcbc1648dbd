"""The optimizer of a training: what it steps, one step of it, and the loss that it must not step along."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import RunError
from ..recipe.schema import TrainRecipe
from .muon import Muon


def build_optimizer(recipe: TrainRecipe, model: nn.Module) -> torch.optim.Optimizer:
    """Return the optimizer of everything in a counter that trains.

    With "muon" the matrices and kernels are Muon's; the rest, and the heads' last layers, are AdamW's.
    """
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if recipe.optimizer == "muon":
        inner = {name for name, parameter in trained.items() if parameter.ndim > 1 and ".output." not in name}
        groups = [
            {"params": [parameter for name, parameter in trained.items() if (name in inner) == own], "orthogonal": own}
            for own in (True, False)
        ]
        return Muon(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return kind(trained.values(), lr=recipe.lr, weight_decay=recipe.weight_decay)


def take_step(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    *,
    lr: float,
    max_grad_norm: float,
    clip: Callable[..., Any] = nn.utils.clip_grad_norm_,
) -> None:
    """Step along the gradients that a model holds, and clear them.

    Args:
        optimizer: its groups learn at `lr`, or at their own `share` of it.
        model: whose gradients are clipped.
        lr: learning rate.
        max_grad_norm: largest gradient norm; 0 for no clipping.
        clip: called with parameters and norm.
    """
    if max_grad_norm > 0:
        clip(model.parameters(), max_grad_norm)
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("share", 1.0)
    optimizer.step()
    optimizer.zero_grad()


def finite_values(terms: Mapping[str, Tensor], where: str, about: Callable[[], str] = str) -> dict[str, float]:
    """Return loss terms as numbers, "loss" among them.

    Args:
        terms: scalars by name.
        where: for the message: "step 3".
        about: what else the message says of the place, asked for only then.

    Raises:
        RunError: the loss is NaN or infinite.
    """
    values = {name: float(term.detach()) for name, term in terms.items()}
    if math.isfinite(values["loss"]):
        return values
    shown = ", ".join(f"{name} {value:g}" for name, value in values.items())
    raise RunError(
        f"The loss is not finite in {where}: {shown}.{about()} The last saved state is kept; lower train.lr or set "
        "train.max_grad_norm.",
        about="diverged",
    )
