"""The training loop on accelerate: batches, steps, validation, previews, and a state to resume from."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any, cast

import cv2
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..adapter.find import find_adapter
from ..adapter.folder import read_adapter, start_from, write_adapter
from ..data.dataset import Batch, Crop, CropDataset, EpochBatches, collate
from ..data.sources import DiskSource, geometry_of, open_split
from ..errors import Interrupted, RunError
from ..evaluation.evaluate import Metrics
from ..files import write_text
from ..losses import MutualPromptLoss
from ..models.acceleration import channels_last, compile_encoder, enable_gradient_checkpointing, use_flex_attention
from ..models.build import BuiltCounter, build_counter
from ..recipe.schema import Recipe
from ..render import save_image
from ..tuning.report import report
from .ema import MovingAverage
from .feature_cache import CachedCrops, FeatureCache, build_cache
from .log import RunLog, peak_memory_mb
from .optimizer import build_optimizer, learning_rate
from .state import TrainingProgress, load_state, save_state
from .validation import preview_image, validate, validate_masks

_PREVIEWS = 2


class Trainer:
    """Everything one training needs, put together from the recipe."""

    def __init__(self, recipe: Recipe, root: Path | None, run: Path, *, resume: bool, console: Console) -> None:
        self.recipe, self.run = recipe, run
        train = recipe.train
        self.accelerator = Accelerator(
            mixed_precision=train.precision, log_with="tensorboard" if train.tensorboard else None, project_dir=run
        )
        self.console = console if self.accelerator.is_main_process else Console(quiet=True)
        self.data, self.held_out = open_split(recipe, "train", root), open_split(recipe, "val", root)
        self.geometry = geometry_of(recipe)
        set_seed(train.seed)
        self.built: BuiltCounter = build_counter(recipe, segmenter=recipe.loss.segmentation > 0)
        self.counter = self.built.counter
        if train.init_from and not resume:
            start_from(read_adapter(find_adapter(train.init_from)), self.built, recipe)
        self._accelerate()
        self.loss = MutualPromptLoss(recipe.loss, stride=self.counter.stride)
        self.batches = EpochBatches(
            len(self.data.source),
            train.batch_size,
            seed=train.seed,
            rank=self.accelerator.process_index,
            world=self.accelerator.num_processes,
        )
        self.model, self.optimizer = self.accelerator.prepare(self.counter, build_optimizer(train, self.counter))
        self.cache = self._cached() if recipe.data.cache == "features" else None
        self.loader = DataLoader(
            self._crops(),
            batch_sampler=cast(Any, self.batches),
            collate_fn=collate,
            num_workers=train.workers,
            persistent_workers=train.workers > 0,
            worker_init_fn=_start_worker,
            # Its own generator: one more iteration after resuming must not move the random state that dropout reads.
            generator=torch.Generator().manual_seed(train.seed),
            pin_memory=self.accelerator.device.type == "cuda",
        )
        self.average = MovingAverage(self.counter, train.ema) if train.ema > 0 else None
        self.progress = TrainingProgress()
        self.stop_signal: int | None = None
        if resume:
            self.progress = load_state(
                run / "state",
                self.counter,
                self.optimizer,
                average=self.average,
                scaler=self.accelerator.scaler,
            )

    def _accelerate(self) -> None:
        """Apply what only saves time or memory."""
        train, encoder = self.recipe.train, self.counter.encoder
        channels_last(self.counter)
        if train.gradient_checkpointing:
            enable_gradient_checkpointing(encoder)
        if train.flex_attention:
            use_flex_attention(encoder)
        if train.compile:
            compile_encoder(encoder)

    def _crops(self) -> Dataset[Crop]:
        if self.cache is not None and isinstance(self.data.source, DiskSource):
            return CachedCrops(self.data.source, self.recipe, self.cache, stride=self.counter.stride)
        return CropDataset(self.data.source, self.recipe, stride=self.counter.stride, pad_colour=self.built.pad_colour)

    def _cached(self) -> FeatureCache:
        """Compute what the encoder makes of the training images, in the main process first; the others find it."""
        assert isinstance(self.data.source, DiskSource)
        with (
            self.accelerator.main_process_first(),
            Progress(console=self.console, transient=True, disable=not self.console.is_terminal) as bar,
        ):
            task = bar.add_task("encoding images", total=None)
            return build_cache(
                self.counter,
                self.data.source,
                self.recipe,
                self.built.base.fingerprint,
                pad_colour=self.built.pad_colour,
                device=self.accelerator.device,
                say=lambda line: self.console.print(line, highlight=False, soft_wrap=True),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )

    def train(self) -> None:
        """Run all epochs that are left. Raises as `finetune`."""
        train = self.recipe.train
        self._announce()
        with ExitStack() as stack:
            stack.enter_context(self._stoppable())
            self.log = stack.enter_context(
                RunLog(
                    self.run / "metrics.jsonl",
                    self.console,
                    epochs=train.epochs,
                    batches=len(self.batches),
                    kept_lines=self.progress.log_lines,
                    active=self.accelerator.is_main_process,
                )
            )
            if train.tensorboard:
                self.accelerator.init_trackers(self.run.name)
                stack.callback(self.accelerator.end_training)
            if self.accelerator.is_main_process:
                write_text(self.run / "recipe.toml", self.recipe.to_toml())
            if self.progress.step == 0:
                self._save()
            for epoch in range(self.progress.epoch, train.epochs):
                self._epoch(epoch)

    def _announce(self) -> None:
        for split, opened in (("train", self.data), ("val", self.held_out)):
            self.console.print(f"{split}: {len(opened.source)} images", highlight=False)
            for line in opened.problems.lines() if opened.problems is not None else ():
                self.console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
        self.console.print(str(report(self.counter)), highlight=False, soft_wrap=True)

    def _epoch(self, epoch: int) -> None:
        started, train = time.monotonic(), self.recipe.train
        before = self.progress.seconds
        self.batches.start(epoch, self.progress.batch)
        self.model.train()
        sums: dict[str, float] = {}
        seen, saved = 0, time.monotonic()
        for batch in self.loader:
            number = self.progress.batch
            terms = self._batch(batch, epoch, number)
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            seen += 1
            self.progress.batch = number + 1
            self.progress.seconds = before + time.monotonic() - started
            now = {"epoch": epoch + 1, **self._rates(seen, time.monotonic() - started)}
            self.log.batch(epoch * len(self.batches) + number + 1, {**now, **terms})
            if self._at_step(number):
                if self._any(self.stop_signal is not None):
                    self._save()
                    raise Interrupted(f"stopped; the state is saved. Go on with --resume --out {self.run}")
                if self._any(time.monotonic() - saved > 60 * train.save_minutes):
                    self._save()
                    saved = time.monotonic()
        rates = self._rates(seen, time.monotonic() - started)
        record: dict[str, Any] = {"epoch": epoch + 1, **rates, **{name: value / seen for name, value in sums.items()}}
        self.progress.epoch, self.progress.batch = epoch + 1, 0
        last = epoch + 1 == train.epochs
        if last or (epoch + 1) % train.validate_every == 0:
            record |= self._validate(epoch)
        self.progress.seconds = before + time.monotonic() - started
        record["seconds"] = self.progress.seconds
        if train.preview_every and (last or (epoch + 1) % train.preview_every == 0):
            self._preview(epoch)
        self.log.epoch(record)
        if train.tensorboard:
            self.accelerator.log({k: v for k, v in record.items() if v is not None}, step=self.progress.step)
        self._save()

    def _rates(self, batches: int, seconds: float) -> dict[str, float]:
        """Return step, learning rate, speed over so many batches of this process, and peak memory."""
        images = batches * self.recipe.train.batch_size * self.accelerator.num_processes
        return {
            "step": self.progress.step,
            "lr": self._lr(),
            "images_per_s": images / seconds,
            "memory_mb": peak_memory_mb(self.accelerator.device),
        }

    def _batch(self, batch: Batch, epoch: int, number: int) -> dict[str, float]:
        """Add one batch's gradients and, at the end of its group, step. Returns the loss terms as floats."""
        accelerator, train = self.accelerator, self.recipe.train
        step = self._at_step(number)
        first = number // train.gradient_accumulation * train.gradient_accumulation
        group = min(train.gradient_accumulation, len(self.batches) - first)
        images = self.counter.normalise(batch.images.to(accelerator.device, non_blocking=True))
        with ExitStack() as stack:
            if not step:
                stack.enter_context(accelerator.no_sync(self.model))
            output = self.model(images, *self._encoded(batch))
            terms = self.loss(output.density, output.mask_logits, batch.targets.to(accelerator.device), epoch=epoch)
            values = {name: float(term.detach()) for name, term in terms.items()}
            self._refuse_non_finite(terms["loss"], values, batch, epoch, number)
            accelerator.backward(terms["loss"] / group)
        if step:
            if train.max_grad_norm > 0:
                accelerator.clip_grad_norm_(self.model.parameters(), train.max_grad_norm)
            for parameters in self.optimizer.param_groups:
                parameters["lr"] = self._lr()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.progress.step += 1
            if self.average is not None:
                self.average.update(self.counter)
        return values

    def _encoded(self, batch: Batch) -> tuple[()] | tuple[list[Tensor], int | None]:
        """Return what the encoder made of a batch before, and the block to go on from, where that is cached."""
        if self.cache is None or batch.features is None:
            return ()
        features = batch.features.to(self.accelerator.device, non_blocking=True)
        return self.cache.split(features), self.cache.until

    def _at_step(self, number: int) -> bool:
        """Whether the optimizer steps after batch `number` of an epoch; an epoch always ends with a step."""
        return (number + 1) % self.recipe.train.gradient_accumulation == 0 or number + 1 == len(self.batches)

    def _lr(self) -> float:
        train = self.recipe.train
        steps_per_epoch = -(-len(self.batches) // train.gradient_accumulation)
        return learning_rate(self.recipe, self.progress.step / steps_per_epoch)

    def _refuse_non_finite(self, loss: Tensor, values: dict[str, float], batch: Batch, epoch: int, number: int) -> None:
        if torch.isfinite(loss):
            return
        terms = ", ".join(f"{name} {value:g}" for name, value in values.items())
        images = ", ".join(self.data.source.name(index) for _, index in batch.keys)
        raise RunError(
            f"The loss is not finite in epoch {epoch + 1}, batch {number + 1}: {terms}. Images: {images}. The last "
            "saved state is kept; lower train.lr or set train.max_grad_norm."
        )

    def _validate(self, epoch: int) -> dict[str, float | None]:
        """Count the validation images with the averaged weights; keep the adapter when it is the best so far.

        A segmenter alone counts nothing: its masks are compared, and what is kept of it is its state.
        """
        with ExitStack() as stack:
            if self.average is not None:
                stack.enter_context(self.average.applied(self.counter))
            if self.recipe.loss.density == 0:
                iou = validate_masks(self.counter, self.held_out.source, self.recipe, self.geometry, self.accelerator)
                return {"val_iou": iou}
            result: Metrics = validate(self.counter, self.held_out.source, self.recipe, self.geometry, self.accelerator)
            best = self.progress.best_mae
            if best is None or result.mae < best:
                self.progress.best_mae, self.progress.best_epoch = result.mae, epoch + 1
                if self.accelerator.is_main_process:
                    figures = {"val": asdict(result), "epoch": epoch + 1, "seconds": self.progress.seconds}
                    write_adapter(self.run / "adapter", self.built, self.recipe, metrics=figures)
        return {"val_mae": result.mae, "val_rmse": result.rmse, "val_nae": result.nae}

    def _preview(self, epoch: int) -> None:
        if not self.accelerator.is_main_process:
            return
        with ExitStack() as stack:
            if self.average is not None:
                stack.enter_context(self.average.applied(self.counter))
            for index in range(min(_PREVIEWS, len(self.held_out.source))):
                picture = preview_image(
                    self.counter,
                    self.held_out.source,
                    index,
                    recipe=self.recipe,
                    geometry=self.geometry,
                    device=self.accelerator.device,
                )
                save_image(self.run / "previews" / f"epoch{epoch + 1:04d}-{index}.jpg", picture)

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            self.progress.log_lines = self.log.lines
            save_state(
                self.run / "state",
                self.progress,
                self.counter,
                self.optimizer,
                average=self.average,
                scaler=self.accelerator.scaler,
            )
        self.accelerator.wait_for_everyone()

    def _any(self, asked: bool) -> bool:
        """Whether any process asks: all must stop or save after the same step, and their clocks may disagree."""
        if self.accelerator.num_processes == 1:
            return asked
        flag = torch.tensor([float(asked)], device=self.accelerator.device)
        return bool(cast(Tensor, self.accelerator.reduce(flag, reduction="sum")).item() > 0)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the training after the step that runs; a second one ends it at once."""

        def ask(number: int, _frame: FrameType | None) -> None:
            if self.stop_signal is not None:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            self.stop_signal = number
            self.console.print("Stopping after this step; again to stop at once.")

        old = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)


def _start_worker(_worker: int) -> None:
    """Leave signals to the main process, which needs its workers to finish the step, and threads to it as well.

    A group of its own keeps from a worker what a terminal, `timeout` or a scheduler sends to the whole group. OpenCV's
    pool of threads does not survive the fork that makes a worker; one that waits for it would hang.
    """
    cv2.setNumThreads(0)
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
