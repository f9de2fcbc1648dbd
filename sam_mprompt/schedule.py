"""The learning rate over a training."""

import math

from .recipe import Recipe


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
