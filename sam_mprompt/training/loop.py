"""The training loop: batch, forward, loss, backward, step."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from ..data.dataset import Batch
from ..losses import MutualPromptLoss
from ..models.counter import CrowdCounter
from ..recipe.schema import TrainRecipe
from .depthwise import depthwise_gradients
from .ema import MovingAverage
from .feature_cache import FeatureCache
from .optimizer import finite_values, take_step
from .schedule import learning_rate
from .state import TrainingProgress


@dataclass(frozen=True)
class Parts:
    """What a step works with.

    Attributes:
        counter: the model.
        model: the same as it is called, wrapped where several processes train it.
        cache: what the encoder made of the images before, where that is kept.
    """

    accelerator: Accelerator
    counter: CrowdCounter
    model: nn.Module
    loss: MutualPromptLoss
    optimizer: torch.optim.Optimizer
    average: MovingAverage | None
    cache: FeatureCache | None

    def encoded(self, batch: Batch) -> tuple[()] | tuple[list[Tensor], int | None]:
        """Return what the encoder made of a batch before, and the block to go on from, where that is cached."""
        if self.cache is None or batch.features is None:
            return ()
        features = batch.features.to(self.accelerator.device, non_blocking=True)
        return self.cache.split(features), self.cache.stop_before


@dataclass(frozen=True)
class Steps:
    """How the batches of an epoch group into optimizer steps; an epoch always ends with a step.

    Attributes:
        batches: of an epoch.
        accumulation: batches whose gradients are added before a step.
    """

    batches: int
    accumulation: int

    @property
    def per_epoch(self) -> int:
        """Steps of an epoch."""
        return -(-self.batches // self.accumulation)

    def after(self, batch: int) -> bool:
        """Whether a step follows batch `batch`, counted from 0."""
        return (batch + 1) % self.accumulation == 0 or batch + 1 == self.batches

    def group(self, batch: int) -> int:
        """Return the number of batches whose gradients are added to those of batch `batch`, itself included."""
        first = batch // self.accumulation * self.accumulation
        return min(self.accumulation, self.batches - first)


def train_epoch(
    parts: Parts,
    batches: Iterable[Batch],
    steps: Steps,
    train: TrainRecipe,
    progress: TrainingProgress,
    *,
    name_of: Callable[[int], str],
    after_batch: Callable[[dict[str, float], bool], None],
) -> dict[str, float]:
    """Train what is left of the epoch that `progress` stands in, and count it up there.

    Args:
        parts: what is trained, and what with.
        batches: what is left of the epoch.
        steps: how they group.
        train: learning rate and clipping.
        progress: where the training stands; its batch, step and sums are moved on.
        name_of: an image's name by its number, for messages.
        after_batch: called with the batch's loss terms, and whether a step was taken.

    Returns:
        The mean of each loss term over the epoch's batches, those of earlier sessions included.

    Raises:
        RunError: the loss became NaN or infinite.
    """
    accelerator, counter = parts.accelerator, parts.counter
    parts.model.train()
    for batch in batches:
        stepping = steps.after(progress.batch)
        images = counter.normalise(batch.images.to(accelerator.device, non_blocking=True), batch.sizes)
        targets = batch.targets.to(accelerator.device)
        with nullcontext() if stepping else accelerator.no_sync(parts.model):
            with depthwise_gradients(accelerator.device, train):
                output = parts.model(images, *parts.encoded(batch))
            terms = parts.loss(output.density, output.mask_logits, targets, epoch=progress.epoch, counts=output.counts)
            place = f"epoch {progress.epoch + 1}, batch {progress.batch + 1}"
            values = finite_values(terms, place, partial(_images, batch.keys, name_of))
            accelerator.backward(terms["loss"] / steps.group(progress.batch))
        if stepping:
            lr = learning_rate(train, progress.step / steps.per_epoch)
            clip = accelerator.clip_grad_norm_
            take_step(parts.optimizer, parts.model, lr=lr, max_grad_norm=train.max_grad_norm, clip=clip)
            progress.step += 1
            if parts.average is not None:
                parts.average.update(counter)
        progress.batch += 1
        progress.add(values)
        after_batch(values, stepping)
    return progress.means()


def _images(keys: Iterable[tuple[int, int]], name_of: Callable[[int], str]) -> str:
    return f" Images: {', '.join(name_of(index) for _, index in keys)}."
