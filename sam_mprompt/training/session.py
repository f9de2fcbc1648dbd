"""One training from the recipe to its outcome: epochs, validation, previews, and a state to go on from."""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Any, Self, cast

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import DataLoader

from ..adapter.folder import AdapterFolder
from ..adapter.scope_file import ScopeFile
from ..data.dataset import Batch, EpochBatches
from ..environment import training_environment
from ..errors import Interrupted, RunError
from ..evaluation.metrics import Metrics, metrics
from ..files import write_text
from ..models.build import BuiltCounter
from ..models.counter import CrowdCounter
from ..recipe.schema import Recipe
from ..render import save_image
from ..tuning.report import report
from .held_out import HeldOut, calibration_of, write_held_out
from .log import MetricsLog, peak_memory_mb
from .loop import Parts, Steps, train_epoch
from .observer import SILENT, Observer
from .run import RunFolder
from .schedule import learning_rate
from .scope import scope_of
from .setup import assemble, batch_loader, start_accelerator
from .sharding import whole
from .splits import TrainingData
from .state import TrainingProgress, discard_before, load_state, save_state
from .stopping import StopRequest, stop_on_signals
from .validation import count_all, preview_image, validate_masks
from .workers import patiently, told_of_workers

_PREVIEWS = 2


@dataclass(frozen=True)
class Outcome:
    """What a training came to.

    Attributes:
        best: validation figures of the best epoch, whose adapter was kept; None for a segmenter alone, for a run that
            was never validated, and where all images train.
        best_epoch: the epoch whose adapter was kept, 1-based.
        val_iou: of a segmenter alone: mean IoU with the validation images' pseudo masks after the last epoch.
        epochs, seconds: length of the training, over all sessions.
        trainable, total: numbers of parameters while training.
    """

    best: Metrics | None
    best_epoch: int | None
    val_iou: float | None
    epochs: int
    seconds: float
    trainable: int
    total: int


@dataclass
class TrainingSession:
    """Everything one training needs, put together by `open`, and run by `fit`.

    Attributes:
        built: the counter that is trained, with its base.
        parts: what a step works with.
        steps: how batches group into steps.
        batches, loader: what comes next.
        progress: where the training stands.
    """

    recipe: Recipe
    data: TrainingData
    run: RunFolder
    observer: Observer
    built: BuiltCounter
    parts: Parts
    steps: Steps
    batches: EpochBatches
    loader: DataLoader[Batch]
    progress: TrainingProgress

    @classmethod
    def open(
        cls,
        recipe: Recipe,
        data: TrainingData,
        run: RunFolder,
        *,
        resume: bool = False,
        observer: Observer = SILENT,
    ) -> Self:
        """Build what a recipe describes, and put the run's state into it when it is resumed.

        Args:
            recipe: fully resolved.
            data: what it is trained on and validated on.
            run: where everything goes.
            resume: go on from the run's state.
            observer: hears what happens; only that of the main process does.

        Raises:
            UsageError: base or options that cannot be had, or a state that does not fit the recipe.
            RunError: the disk is full, of cached features.
        """
        accelerator = start_accelerator(recipe.train, run)
        observer = observer if accelerator.is_main_process else SILENT
        built, parts = assemble(recipe, data, accelerator, resume=resume, observer=observer)
        batches, loader = batch_loader(recipe, data, parts)
        progress = TrainingProgress()
        if resume:
            scaler = accelerator.scaler
            progress = load_state(
                run, parts.counter, parts.optimizer, average=parts.average, scaler=scaler, say=observer.say
            )
        steps = Steps(len(batches), recipe.train.gradient_accumulation)
        return cls(recipe, data, run, observer, built, parts, steps, batches, loader, progress)

    @property
    def counter(self) -> CrowdCounter:
        """The model."""
        return self.built.counter

    @property
    def accelerator(self) -> Accelerator:
        """Where it runs, and beside whom."""
        return self.parts.accelerator

    @property
    def is_main_process(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return bool(self.accelerator.is_main_process)

    def fit(self) -> Outcome:
        """Train all epochs that are left.

        Raises:
            RunError: the loss became NaN or infinite, or the disk is full.
            Interrupted: stopped on request, with the state saved.
        """
        train = self.recipe.train
        for line in (*self.data.lines(), str(report(self.counter))):
            self.observer.say(line)
        with ExitStack() as stack:
            stop = stack.enter_context(stop_on_signals(self.observer.say))
            stack.callback(self.observer.end)
            log = stack.enter_context(
                MetricsLog(self.run.metrics, kept_lines=self.progress.log_lines, active=self.is_main_process)
            )
            self.progress.log_lines = log.lines
            self.observer.batch(self._batches_done(), train.epochs * len(self.batches), {})
            if train.tensorboard:
                self.accelerator.init_trackers(self.run.name)
                stack.callback(self.accelerator.end_training)
            if self.is_main_process:
                write_text(self.run.recipe, self.recipe.to_toml())
            if self.progress.step == 0:
                self.save()
            for _ in range(self.progress.epoch, train.epochs):
                self._log(log, self._epoch(stop))
                self.save()
            if self.is_main_process:
                discard_before(self.run)
        return self._outcome()

    def save(self) -> None:
        """Write the state, in the main process; the others wait for it.

        Raises:
            RunError: a tensor holds NaN or infinity, or the disk is full; the state before is kept.
        """
        if self.is_main_process:
            save_state(
                self.run,
                self.progress,
                self.counter,
                self.parts.optimizer,
                average=self.parts.average,
                scaler=self.accelerator.scaler,
            )
        self.accelerator.wait_for_everyone()

    def _epoch(self, stop: StopRequest) -> dict[str, Any]:
        """Train and, when it is due, validate what is left of an epoch; return its record."""
        train, epoch, started = self.recipe.train, self.progress.epoch, time.monotonic()
        first, before, saved = self.progress.batch, self.progress.seconds, started

        def rates() -> dict[str, float]:
            return self._rates(self.progress.batch - first, time.monotonic() - started)

        def after_batch(values: dict[str, float], stepped: bool) -> None:
            nonlocal saved
            self.progress.seconds = before + time.monotonic() - started
            shown = {"epoch": epoch + 1, **rates(), **values}
            self.observer.batch(self._batches_done(), train.epochs * len(self.batches), shown)
            if stepped and self._any(stop.asked):
                self.save()
                raise Interrupted("stopped; the state is saved.", about="stopped", run=self.run.path)
            if stepped and self._any(time.monotonic() - saved > 60 * train.save_minutes):
                self.save()
                saved = time.monotonic()

        self.batches.start(epoch, first)
        name_of = self.data.train.source.name
        batches = patiently(self.loader, partial(self._while_waiting, stop))
        try:
            with told_of_workers():
                terms = train_epoch(
                    self.parts, batches, self.steps, train, self.progress, name_of=name_of, after_batch=after_batch
                )
        except RunError as error:
            if error.about == "lost worker":
                self._while_waiting(stop)  # who ends all processes of a program by its name ends the workers too
                self._keep()
            raise
        record: dict[str, Any] = {"epoch": epoch + 1, **rates(), **terms}
        self.progress.epoch, self.progress.batch = epoch + 1, 0
        if self._due(train.validate_every):
            record |= self._validate()
        self.progress.seconds = before + time.monotonic() - started
        record["seconds"] = self.progress.seconds
        if train.preview_every and self._due(train.preview_every):
            self._preview()
        return record

    def _while_waiting(self, stop: StopRequest) -> None:
        """Stop on request also when no batch comes; between two steps of a group the last state has to do."""
        if not stop.asked:
            return
        if self._keep():
            raise Interrupted("stopped; the state is saved.", about="stopped", run=self.run.path)
        raise Interrupted("stopped while waiting for data.", about="stopped between saves", run=self.run.path)

    def _keep(self) -> bool:
        """Save what was trained, and return whether that was possible: by one process alone, and between two steps."""
        alone = self.accelerator.num_processes == 1 and self.progress.batch % self.steps.accumulation == 0
        if alone:
            self.save()
        return alone

    def _due(self, every: int) -> bool:
        """Whether what happens every so many epochs, and after the last, happens after those that are done."""
        return self.progress.epoch == self.recipe.train.epochs or self.progress.epoch % every == 0

    def _batches_done(self) -> int:
        return self.progress.epoch * len(self.batches) + self.progress.batch

    def _log(self, log: MetricsLog, record: dict[str, Any]) -> None:
        log.append(record)
        self.progress.log_lines = log.lines
        self.observer.epoch(record)
        if self.recipe.train.tensorboard:
            self.accelerator.log({k: v for k, v in record.items() if v is not None}, step=self.progress.step)

    def _rates(self, batches: int, seconds: float) -> dict[str, float]:
        """Return step, learning rate, speed over so many batches of this process, and peak memory."""
        images = batches * self.recipe.train.batch_size * self.accelerator.num_processes
        return {
            "step": self.progress.step,
            "lr": learning_rate(self.recipe.train, self.progress.step / self.steps.per_epoch),
            "images_per_s": images / seconds,
            "memory_mb": peak_memory_mb(self.accelerator.device),
        }

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the averaged weights into the counter, where the recipe keeps some."""
        with ExitStack() as stack:
            if self.parts.average is not None:
                stack.enter_context(self.parts.average.applied(self.counter))
            yield

    @contextmanager
    def _ready_to_count(self) -> Iterator[None]:
        """Let each process count images on its own, with the averaged weights; all enter together."""
        with self._averaged(), whole(self.counter):  # in this order: what averages asks for the counter's state
            yield

    def _validate(self) -> dict[str, float | None]:
        """Count the validation images with the averaged weights; keep the adapter when it is the best so far.

        A segmenter alone counts nothing: its masks are compared, and what is kept of it is its state. Where all images
        train, nothing tells which epoch is better: the last one is kept.
        """
        recipe, val, progress = self.recipe, self.data.val, self.progress
        if val is None:
            progress.best_epoch = progress.epoch
            self.keep_adapter(None)
            return {}
        seen = (self.counter, val.source, recipe.geometry, self.accelerator)
        if recipe.loss.density == 0:
            with self._ready_to_count():
                progress.val_iou = validate_masks(*seen, targets=recipe.targets)
            return {"val_iou": progress.val_iou}
        with self._ready_to_count():
            counts = count_all(*seen, batch_size=recipe.infer.batch_size, precision=recipe.train.precision)
        predicted, actual = zip(*counts, strict=True)
        result = metrics(predicted, actual)
        if progress.best is None or result.mae < progress.best.mae:
            progress.best, progress.best_epoch = result, progress.epoch
            names = map(val.source.name, range(len(counts)))
            rows = [HeldOut(name, 0, heads, count) for name, (count, heads) in zip(names, counts, strict=True)]
            self.keep_adapter(result, rows)
            if self.is_main_process:
                write_held_out(self.run.held_out, rows)
        return {"val_mae": result.mae, "val_rmse": result.rmse, "val_nae": result.nae}

    def keep_adapter(self, figures: Metrics | None, held_out: Sequence[HeldOut] = (), *, folds: int = 0) -> None:
        """Write the adapter of the averaged weights as they are, in the main process, in place of an older one.

        `figures` are those of images that it did not see, None before there are any, and `held_out` their counts, from
        which its error bars come; `folds` says that they come from so many trainings that held them out, 0 that they
        are a val split's.

        Raises RunError on a full disk, and where the run's folder was deleted or moved.
        """
        if self.is_main_process:
            self.run.expect_begun()
            known: dict[str, Any] = {} if figures is None else {"val": asdict(figures)}
            if folds:
                known["folds"] = folds
            record = {**known, "epoch": self.progress.epoch, "seconds": self.progress.seconds}
            record["environment"] = self._environment()
            with self._averaged():
                AdapterFolder.of(
                    self.run.adapter,
                    self.built,
                    self.recipe,
                    metrics=record,
                    calibration=calibration_of(held_out) if held_out else None,
                    scope=self._scope,
                ).write()

    def _environment(self) -> dict[str, object]:
        device = self.accelerator.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        return training_environment(name, torch.get_num_threads(), self.accelerator.num_processes)

    @cached_property
    def _scope(self) -> ScopeFile:
        return scope_of(self.data.train.source, self.recipe.geometry, self.counter.stride)

    def _preview(self) -> None:
        pictures = min(_PREVIEWS, len(self.data.shown)) if self.is_main_process else 0
        if pictures:
            self.run.expect_begun()
        with self._ready_to_count():
            for index in range(pictures):
                picture = preview_image(
                    self.counter,
                    self.data.shown,
                    index,
                    targets=self.recipe.targets,
                    loss=self.recipe.loss,
                    geometry=self.recipe.geometry,
                    device=self.accelerator.device,
                )
                save_image(self.run.preview(self.progress.epoch, index), picture)

    def _any(self, asked: bool) -> bool:
        """Whether any process asks: all must stop or save after the same step, and their clocks may disagree."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.accelerator.device)
        return bool(cast(Tensor, self.accelerator.reduce(flag, reduction="sum")).item() > 0)

    def _outcome(self) -> Outcome:
        progress, numbers = self.progress, report(self.counter)
        if self.recipe.loss.density == 0 and progress.val_iou is None:  # a finished run of version 0.1
            self._validate()
        return Outcome(
            best=progress.best,
            best_epoch=progress.best_epoch,
            val_iou=progress.val_iou,
            epochs=progress.epoch,
            seconds=progress.seconds,
            trainable=numbers.trainable,
            total=numbers.total,
        )
