"""The optimizer of a training, and its learning rate over the epochs."""

import math

import torch
from torch import nn

from ..recipe.schema import Recipe, TrainRecipe
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


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """Return the learning rate at a fractional epoch (0 to train.epochs): warm-up, then step, cosine or constant."""
    train = recipe.train
    if epoch < train.warmup_epochs:
        return train.lr * (epoch + 1e-3) / (train.warmup_epochs + 1e-3)
    if train.schedule == "step":
        return train.lr * train.step_factor ** (epoch // train.step_epochs)
    if train.schedule == "cosine":
        done = (epoch - train.warmup_epochs) / max(train.epochs - train.warmup_epochs, 1e-9)
        return train.lr * 0.5 * (1 + math.cos(min(done, 1.0) * math.pi))
    return train.lr
