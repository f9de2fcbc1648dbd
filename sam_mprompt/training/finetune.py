"""Finetuning from request to outcome: the recipe, the run folder, the base, the training, the summary."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, parse_flag_from_env
from rich.console import Console
from rich.progress import DownloadColumn, Progress

from ..adapter.find import run_folder
from ..bases.pull import fetch
from ..counting.counter import load
from ..data.sources import data_root
from ..errors import RunError
from ..recipe.schema import Recipe, load_recipe
from ..render import save_image
from ..tuning.report import report
from .session import Trainer


@dataclass(frozen=True)
class FinetuneResult:
    """The outcome of a training.

    Attributes:
        run: the run folder.
        adapter: the adapter folder in it, of the best epoch.
        overlay: a picture: the validation image with the median number of heads, as this adapter counts it.
        val_mae: its validation MAE in heads.
        mean_mae: that of always predicting the mean count of the training images, for comparison.
        epoch: the best epoch, 1-based.
        trainable, total: numbers of parameters while training.
    """

    run: Path
    adapter: Path
    overlay: Path
    val_mae: float
    mean_mae: float
    epoch: int
    trainable: int
    total: int

    def as_dict(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        size = sum(file.stat().st_size for file in self.adapter.iterdir())
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()} | {
            "adapter_bytes": size
        }

    def summary(self) -> str:
        """Return a few lines for the terminal."""
        size = self.as_dict()["adapter_bytes"] / 1e6
        share = 100 * self.trainable / self.total
        return (
            f"validation MAE {self.val_mae:.2f} after epoch {self.epoch} (predicting the mean: {self.mean_mae:.2f})\n"
            f"trained {self.trainable / 1e6:.2f} M of {self.total / 1e6:.2f} M parameters ({share:.1f} %)\n"
            f"adapter {self.adapter} ({size:.1f} MB)\n"
            f"picture {self.overlay}"
        )


@dataclass(frozen=True)
class SegmenterResult:
    """The outcome of training a segmenter alone (`loss.density = 0`).

    Attributes:
        run: the run folder; its state holds the segmenter, for `sam-mprompt masks --source segmenter`.
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

    def summary(self) -> str:
        """Return a few lines for the terminal."""
        return (
            f"validation mask IoU {self.val_iou:.3f} after the last epoch\n"
            f"trained {self.trainable / 1e6:.2f} M of {self.total / 1e6:.2f} M parameters\n"
            f"next: sam-mprompt masks --source segmenter --run {self.run} --data DIR --out MASKS"
        )


def prepare_run(name_or_file: str, overrides: Sequence[str], out: Path | None, *, resume: bool) -> tuple[Recipe, Path]:
    """Read the recipe and choose the run folder; with `resume` the run's own recipe.toml is the recipe.

    In a distributed run the main process decides for all.

    Raises:
        UsageError: a faulty recipe or override, a folder in use, or nothing to resume.
    """
    # Left alone, accelerate takes several processes on a machine without an accelerator for as many runs of one.
    state = PartialState(cpu=parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available())
    chosen: list[Any] = [None, None]
    if state.is_main_process:
        recipe = load_recipe(name_or_file, overrides)
        run = run_folder(recipe.name, out, resume=resume)
        if resume:
            recipe = load_recipe(run / "recipe.toml", overrides)
        chosen = [recipe, run]
    recipe, run = broadcast_object_list(chosen) if state.num_processes > 1 else chosen
    return recipe, run


def finetune(
    recipe: Recipe, *, data: Path | None, run: Path, resume: bool, console: Console
) -> FinetuneResult | SegmenterResult | None:
    """Train what the recipe describes and write the best epoch's adapter to `run/adapter`.

    Args:
        recipe: fully resolved.
        data: dataset folder, or None for the recipe's own.
        run: run folder; must not hold a run unless `resume`.
        resume: go on from `run/state`, to the same weights as an uninterrupted run.
        console: of stderr.

    Returns:
        The outcome; None on other processes than the main one.

    Raises:
        UsageError: data, base or options that cannot be had.
        RunError: the loss became NaN or infinite, or the disk is full.
        Interrupted: stopped on request, with the state saved.
    """
    root = data_root(recipe, data)
    if recipe.model.encoder == "sam":
        with Progress(
            *Progress.get_default_columns(),
            DownloadColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task(f"fetching {recipe.model.base}", total=None, visible=False)
            fetch(
                recipe.model.base,
                progress=lambda done, total: bar.update(task, completed=done, total=total, visible=True),
            )
    trainer = Trainer(recipe, root, run, resume=resume, console=console)
    trainer.train()
    if not trainer.accelerator.is_main_process:
        return None
    return _segmenter_result(trainer) if recipe.loss.density == 0 else _result(trainer)


def _segmenter_result(trainer: Trainer) -> SegmenterResult:
    last = json.loads((trainer.run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    numbers = report(trainer.counter)
    return SegmenterResult(trainer.run, last["val_iou"], numbers.trainable, numbers.total)


def _result(trainer: Trainer) -> FinetuneResult:
    best_mae, best_epoch = trainer.progress.best_mae, trainer.progress.best_epoch
    if best_mae is None or best_epoch is None:
        raise RunError(f"'{trainer.run}' was never validated, so it has no adapter. Train it for at least one epoch.")
    counts = np.asarray(trainer.held_out.source.counts())
    mean = float(np.mean(trainer.data.source.counts()))
    numbers = report(trainer.counter)
    return FinetuneResult(
        run=trainer.run,
        adapter=trainer.run / "adapter",
        overlay=_picture(trainer, int(np.argsort(counts)[len(counts) // 2])),
        val_mae=best_mae,
        mean_mae=float(np.mean(np.abs(counts - mean))),
        epoch=best_epoch,
        trainable=numbers.trainable,
        total=numbers.total,
    )


def _picture(trainer: Trainer, index: int) -> Path:
    """Count one validation image with the written adapter, as a user would, and save the overlay."""
    path = trainer.run / "overlay.jpg"
    image, _ = trainer.held_out.source.original(index)
    save_image(path, load(trainer.run, device=trainer.accelerator.device).count(image).overlay())
    return path
