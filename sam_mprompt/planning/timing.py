"""How long a step of a recipe takes here: a few real ones, on the real images, in a folder that goes again."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TypeVar

from ..counting.predict import predict_density
from ..counting.torch_backend import TorchBackend
from ..recipe.schema import Recipe
from ..training.finetune import fetch_base
from ..training.loop import train_epoch
from ..training.observer import SILENT, Observer
from ..training.run import RunFolder
from ..training.session import TrainingSession
from ..training.splits import TrainingData
from ..training.state import TrainingProgress
from ..training.workers import patiently

_STEPS, _LONGEST = 4, 30.0
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Timing:
    """What was timed, in seconds.

    Attributes:
        step: a batch with its step, the median of a few.
        image: counting one image.
        preparation: building the counter and what is cached before the first batch; a second time it takes less.
    """

    step: float
    image: float
    preparation: float = 0.0


def time_training(
    recipe: Recipe, root: Path, observer: Observer = SILENT, *, clock: Callable[[], float] = time.perf_counter
) -> Timing:
    """Time up to four steps of a recipe after a first one, no longer than half a minute, and count one image.

    Nothing of it reaches the training that follows, which draws anew from its seed; caches stay.

    Raises:
        UsageError: data or base that cannot be had.
        RunError: a loss that is not finite, or a full disk.
    """
    data, began = TrainingData.open(recipe, root), clock()
    fetch_base(recipe.model, observer)
    with TemporaryDirectory() as folder:
        session = TrainingSession.open(recipe, data, RunFolder(Path(folder)), observer=observer)
        ready = clock()
        ends = [ready]
        session.batches.start(0, 0)
        train_epoch(
            session.parts,
            _bounded(patiently(session.loader, lambda: None), ends, clock),
            replace(session.steps, batches=max(session.steps.batches, _STEPS + 1)),
            recipe.train,
            TrainingProgress(),
            name_of=data.train.source.name,
            after_batch=lambda _values, _stepped: ends.append(clock()),
        )
        lengths = [after - before for before, after in pairwise(ends)]
        image, _ = data.shown.original(data.baseline().median)
        before = clock()
        predict_density(TorchBackend(session.counter, session.accelerator.device), image, recipe.geometry)
        return Timing(median(lengths[1:] or lengths), clock() - before, ready - began)


def _bounded(batches: Iterable[_Item], ends: list[float], clock: Callable[[], float]) -> Iterator[_Item]:
    """Yield a first batch and up to four more, as long as there is time."""
    for item in islice(batches, _STEPS + 1):
        yield item
        if len(ends) > 2 and clock() - ends[0] > _LONGEST:
            return
