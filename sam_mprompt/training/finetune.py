"""Finetuning from request to outcome: the recipe, the run folder, the data, the base, the training, the picture."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

from ..adapter.folder import AdapterFolder
from ..adapter.hub import pinned_name
from ..bases.pull import fetch
from ..counting.counter import load
from ..data.sources import Source, data_root
from ..errors import RunError, UsageError
from ..evaluation.metrics import Metrics, metrics
from ..recipe.model import Model
from ..recipe.schema import Recipe, load_recipe
from ..render import save_image
from .folds import hold_out_folds
from .held_out import mean_mae
from .observer import SILENT, Observer
from .ranks import join_ranks, told_of_ranks
from .run import RunFolder
from .session import Outcome, TrainingSession
from .splits import TrainingData
from .state import discard_start


@dataclass(frozen=True)
class FinetuneResult:
    """The outcome of a training.

    Attributes:
        run: the run folder.
        adapter: the adapter folder in it, of the best epoch.
        overlay: a picture: the validation image with the median number of heads, as this adapter counts it.
        val: its validation figures, in heads; where all images train, those of the images of all folds, each counted by
            a training that did not see it.
        mean_mae: MAE of always predicting the mean count of the training images, for comparison.
        folds: number of folds that the figures come from; 0 where they come from a val split.
        epoch: the best epoch, 1-based; the last where all images train.
        epochs, seconds: length of the training.
        trainable, total: numbers of parameters while training.
        base: the base's name or file.
        base_licence: what its weights are licensed under; empty where that is not known.
    """

    run: Path
    adapter: Path
    overlay: Path
    val: Metrics
    mean_mae: float
    folds: int
    epoch: int
    epochs: int
    seconds: float
    trainable: int
    total: int
    base: str
    base_licence: str

    @property
    def val_mae(self) -> float:
        """Validation MAE of the best epoch, in heads."""
        return self.val.mae

    @property
    def beats_the_mean(self) -> bool:
        """Whether it counts unseen images better than who always says the mean of the training images."""
        return self.val.mae < self.mean_mae

    @property
    def adapter_bytes(self) -> int:
        """Size of the adapter folder."""
        return sum(file.stat().st_size for file in self.adapter.iterdir())

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values = asdict(self)
        figures = values.pop("val")
        paths = {name: str(values.pop(name)) for name in ("run", "adapter", "overlay")}
        known = {f"val_{name}": figures[name] for name in ("mae", "rmse", "nae")}
        return {**paths, **known, **values, "adapter_bytes": self.adapter_bytes}


@dataclass(frozen=True)
class SegmenterResult:
    """The outcome of training a segmenter alone (`loss.density = 0`).

    Attributes:
        run: the run folder; its state holds the segmenter, which makes masks (`masks.make.SegmenterMasks`).
        val_iou: mean IoU with the validation images' pseudo masks after the last epoch.
        trainable, total: numbers of parameters while training.
    """

    run: Path
    val_iou: float
    trainable: int
    total: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**vars(self), "run": str(self.run)}


@contextmanager
def claimed_run(
    named: str | Recipe, overrides: Sequence[str], out: Path | None, *, resume: bool
) -> Iterator[tuple[Recipe, RunFolder]]:
    """Read the recipe and keep the run's folder for this process until the block ends: see `RunFolder.claimed`.

    `named` is a recipe's name or file, or a recipe that is at hand, which overrides leave as it is.

    With `resume` the run's own recipe.toml is the recipe. In a distributed run the main process decides for all. A
    request that is refused before the first step leaves no run behind.

    Raises:
        UsageError: a faulty recipe or override, a folder in use, or nothing to resume.
        RunError: the disk is full, or another process has ended or cannot be reached.
    """
    state = join_ranks()
    chosen: list[Any] = [None, None]
    with told_of_ranks(state.num_processes), ExitStack() as stack:
        if state.is_main_process:
            recipe = _pinned(named if isinstance(named, Recipe) else load_recipe(named, overrides))
            run = stack.enter_context(RunFolder.claimed(recipe.name, out, resume=resume))
            if resume:
                recipe = load_recipe(run.recipe, overrides)
            chosen = [recipe, run]
        recipe, run = broadcast_object_list(chosen) if state.num_processes > 1 else chosen
        try:
            yield recipe, run
        except UsageError:
            if state.is_main_process and not resume:
                discard_start(run)
            raise


def _pinned(recipe: Recipe) -> Recipe:
    """Name the commit of an adapter of the Hub that a training starts from, so that the record says which it was."""
    start = pinned_name(recipe.train.init_from)
    if start == recipe.train.init_from:
        return recipe
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"init_from": start})})


def finetune(
    recipe: Recipe, *, data: Path | None, run: RunFolder, resume: bool = False, observer: Observer = SILENT
) -> FinetuneResult | SegmenterResult | None:
    """Train what the recipe describes and write the best epoch's adapter to `run.adapter`.

    Args:
        recipe: fully resolved.
        data: dataset folder, or None for the recipe's own.
        run: run folder; must not hold a run unless `resume`.
        resume: go on from `run.state`, to the same weights as an uninterrupted run.
        observer: hears what happens.

    Returns:
        The outcome; None on other processes than the main one.

    Raises:
        UsageError: data, base or options that cannot be had.
        RunError: the loss became NaN or infinite, or the disk is full.
        Interrupted: stopped on request, with the state saved.
    """
    opened = TrainingData.open(
        recipe, data_root(recipe.data, data), lambda done, total: observer.progress("comparing pictures", done, total)
    )
    fetch_base(recipe.model, observer)
    session = TrainingSession.open(recipe, opened, run, resume=resume, observer=observer)
    outcome = session.fit()
    device = session.accelerator.device
    if opened.val is None:
        rows = hold_out_folds(recipe, opened, run, observer)
        outcome = replace(outcome, best=metrics([row.counted for row in rows], [row.heads for row in rows]))
        session.keep_adapter(outcome.best, rows, folds=recipe.train.folds)
        if session.is_main_process:
            return finished(outcome, opened, run, device, mean=mean_mae(rows), folds=recipe.train.folds)
    if not session.is_main_process:
        return None
    if outcome.val_iou is not None:
        return SegmenterResult(run.path, outcome.val_iou, outcome.trainable, outcome.total)
    return finished(outcome, opened, run, device)


def fetch_base(model: Model, observer: Observer) -> None:
    """Make sure that a SAM base is on this machine; timm fetches its own. Raises UsageError when it cannot be had."""
    if model.encoder == "sam":
        label = f"fetching {model.base}"
        fetch(model.base, progress=lambda done, total: observer.progress(label, done, total, in_bytes=True))


def finished(
    outcome: Outcome,
    data: TrainingData,
    run: RunFolder,
    device: torch.device,
    *,
    mean: float | None = None,
    folds: int = 0,
) -> FinetuneResult:
    """Compare a counter's outcome with predicting the mean, and draw what it sees on a device.

    `mean` is the MAE of predicting the mean where folds tell the error; else it is that of the val split.

    Raises:
        RunError: the run was never validated, so that it has no adapter.
    """
    if outcome.best is None or outcome.best_epoch is None:
        raise RunError(f"'{run.path}' was never validated, so it has no adapter. Train it for at least one epoch.")
    baseline, adapter = data.baseline(), AdapterFolder.read(run.adapter)
    draw_overlay(run, data.shown, baseline.median, device)
    return FinetuneResult(
        run=run.path,
        adapter=run.adapter,
        overlay=run.overlay,
        val=outcome.best,
        mean_mae=baseline.mean_mae if mean is None else mean,
        folds=folds,
        epoch=outcome.best_epoch,
        epochs=outcome.epochs,
        seconds=outcome.seconds,
        trainable=outcome.trainable,
        total=outcome.total,
        base=adapter.info.base,
        base_licence=adapter.known_licences.base,
    )


def draw_overlay(run: RunFolder, source: Source, index: int, device: torch.device) -> None:
    """Count one image with the run's adapter, as a user would, and save the picture. Raises RunError on a full disk."""
    image, _ = source.original(index)
    save_image(run.overlay, load(run.path, device=device).count(image).overlay())
