"""The learning rate over a training."""

import math

from ..recipe.schema import TrainRecipe


def learning_rate(train: TrainRecipe, epoch: float) -> float:
    """Return the learning rate at a fractional epoch (0 to train.epochs): warm-up, then step, cosine or constant."""
    if epoch < train.warmup_epochs:
        return warming_up(train.lr, epoch, train.warmup_epochs, start=1e-3)
    if train.schedule == "step":
        return train.lr * train.step_factor ** (epoch // train.step_epochs)
    if train.schedule == "cosine":
        return falling(train.lr, epoch, train.warmup_epochs, train.epochs)
    return train.lr


def warming_up(lr: float, at: float, length: float, *, start: float) -> float:
    """Return a rate that rises to `lr` in a line; the first step is that of the place `start`, as 0 would be wasted."""
    return lr * (at + start) / (length + start)


def falling(lr: float, at: float, begin: float, end: float) -> float:
    """Return a rate that falls from `lr` to 0 along half a cosine between `begin` and `end`, and stays there."""
    done = (at - begin) / max(end - begin, 1e-9)
    return lr * 0.5 * (1 + math.cos(min(done, 1.0) * math.pi))
