"""Pre-training of a small base: a SAM encoder learns promptable segmentation on procedural scenes without people.

With a teacher it also learns to tell that one's features, of the scenes and of photographs.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ..errors import Interrupted
from ..files import write_text
from ..models.sam_encoder import SamEncoder
from ..tensor_files import write_tensors
from ..training.ema import MovingAverage
from ..training.log import MetricsLog, peak_memory_mb
from ..training.muon import Muon
from ..training.observer import SILENT, Observer
from ..training.optimizer import finite_values, take_step
from ..training.run import RunFolder
from ..training.state import TrainingProgress, discard_before, load_state, save_state
from ..training.stopping import StopRequest, stop_on_signals
from ..training.workers import POLL, patiently, start_worker, told_of_workers
from .batches import StepBatches
from .initialisation import build, normalised
from .objective import objective, segmentation_scores
from .optimizer import build_optimizer, learning_rate
from .photographs import PhotographCrops, find_photographs
from .recipe import PretrainRecipe
from .scenes import PromptedBatch, PromptedScenes
from .teacher import Lesson, Teacher
from .thing_decoder import PromptedSegmenter


def pretrain(recipe: PretrainRecipe, run: RunFolder, *, resume: bool = False, observer: Observer = SILENT) -> Path:
    """Train an encoder and write its averaged weights as float16.

    Args:
        recipe: fully resolved.
        run: run folder: state, metrics, recipe and the checkpoint; must not hold a run unless `resume`.
        resume: go on from `run.state`. Without a time limit in the recipe that leads to the same weights as an
            uninterrupted run.
        observer: hears what happens.

    Returns:
        The checkpoint: the encoder alone under SAM's names, as `SamEncoder.from_checkpoint` reads it. It is also
        renewed at every validation.

    Raises:
        UsageError: an encoder that cannot be; what it starts from, its teacher or photographs that are not here; or a
            state that does not fit the recipe.
        RunError: the loss became NaN or infinite, the disk is full, or a worker is stuck or was lost.
        Interrupted: stopped on request, with the state saved.
    """
    return PretrainingSession.open(recipe, run, resume=resume, observer=observer).fit()


@dataclass
class PretrainingSession:
    """Everything one pre-training needs, put together by `open`, and run by `fit`. Arguments as `pretrain`."""

    recipe: PretrainRecipe
    run: RunFolder
    observer: Observer
    device: torch.device
    model: PromptedSegmenter
    encoder: SamEncoder
    lesson: Lesson | None
    photographs: list[Path]
    optimizer: Muon
    average: MovingAverage
    progress: TrainingProgress

    @classmethod
    def open(cls, recipe: PretrainRecipe, run: RunFolder, *, resume: bool = False, observer: Observer = SILENT) -> Self:
        """Build what a recipe describes, and put the run's state into it when it is resumed. Raises UsageError."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model, encoder = build(recipe)
        lesson = _lesson(recipe, model, encoder, device) if recipe.teacher.base else None
        photographs = find_photographs(recipe.teacher.photographs) if recipe.teacher.photographs else []
        model.to(device)
        optimizer, average = build_optimizer(recipe.train, model), MovingAverage(model, recipe.train.ema)
        progress = TrainingProgress()
        if resume:
            progress = load_state(run, model, optimizer, average=average, scaler=None, say=observer.say)
        return cls(recipe, run, observer, device, model, encoder, lesson, photographs, optimizer, average, progress)

    @property
    def checkpoint(self) -> Path:
        """Where the encoder's weights go."""
        return self.run.checkpoint(self.recipe.name)

    @property
    def done(self) -> float:
        """The share of the budget that is used up: of the steps or of the time, whichever is more."""
        train = self.recipe.train
        in_time = self.progress.seconds / (60 * train.minutes) if train.minutes else 0.0
        return max(self.progress.step / train.steps, in_time)

    def fit(self) -> Path:
        """Run all steps that are left and return the checkpoint. Raises as `pretrain`."""
        with ExitStack() as stack:
            stop = stack.enter_context(stop_on_signals(self.observer.say))
            stack.callback(self.observer.end)
            log = stack.enter_context(MetricsLog(self.run.metrics, kept_lines=self.progress.log_lines))
            write_text(self.run.recipe, self.recipe.to_toml())
            if self.progress.step == 0:
                self.save()
            self.observer.batch(self.progress.step, self.recipe.train.steps, {})
            stack.enter_context(told_of_workers())
            self._steps(log, stop)
            discard_before(self.run)
        return self.checkpoint

    def save(self) -> None:
        """Write the state. Raises RunError when it is not finite, or on a full disk."""
        save_state(self.run, self.progress, self.model, self.optimizer, average=self.average, scaler=None)

    def batches(self) -> DataLoader[tuple[PromptedBatch, Tensor | None]]:
        """Return what loads the batches of the steps that are left."""
        train, task = self.recipe.train, self.recipe.task
        scenes = PromptedScenes(self.recipe.scenes, scenes=train.scenes, prompts=task.prompts, seed=train.seed)
        return DataLoader(
            StepBatches(scenes, self._crops(train.seed)),
            batch_size=None,
            sampler=range(self.progress.step, train.steps),
            num_workers=train.workers,
            worker_init_fn=start_worker,
            timeout=POLL if train.workers else 0,
            prefetch_factor=8 if train.workers else None,
            # Fresh processes: a fork of one with torch's and OpenCV's threads can inherit a lock that nobody opens.
            multiprocessing_context="spawn" if train.workers else None,
            # Its own generator: starting again after an interruption must not move torch's random state.
            generator=torch.Generator().manual_seed(train.seed),
        )

    def train_batch(self, batch: PromptedBatch, photographs: Tensor | None = None) -> dict[str, float]:
        """Take one step: forward, loss, backward, step. Returns the loss terms; RunError when they are not finite.

        Args:
            batch: of scenes.
            photographs: crops uint8 (B, 3, H, W) that the teacher alone is asked about.
        """
        train, pixels = self.recipe.train, batch.images.to(self.device)
        images = normalised(self.encoder, pixels)
        features = self.encoder(images)[0]
        answers = self.model.decoder(features, batch.prompts.to(self.device))
        terms = objective(answers, images, batch, self.recipe.task)
        if self.lesson is not None:
            errors = [self.lesson.error(pixels, features)]
            if photographs is not None:
                errors.append(self.lesson.error(photographs.to(self.device)))
            terms["teacher"] = torch.stack(errors).mean()
            terms["loss"] = terms["loss"] + self.recipe.teacher.weight * terms["teacher"]
        values = finite_values(terms, f"step {self.progress.step + 1}")
        terms["loss"].backward()
        take_step(self.optimizer, self.model, lr=learning_rate(train, self.done), max_grad_norm=train.max_grad_norm)
        self.average.update(self.model)
        return values

    def validate(self) -> dict[str, float]:
        """Segment the fixed validation scenes with the averaged weights, and write those into the checkpoint.

        A teacher is asked about crops of the photographs that no step saw, or where there are none about the scenes.
        """
        scenes, prompts, seed = self.recipe.scenes, self.recipe.task.prompts, self.recipe.train.seed + 1_000_003
        held_out = PromptedScenes(scenes, scenes=1, prompts=prompts, seed=seed)
        with self.average.applied(self.model):
            scores = segmentation_scores(self.model, self.encoder, held_out, scenes.val, self.device)
            if self.lesson is not None:
                asked = self._crops(seed)
                images = (held_out[i].images if asked is None else asked[i] for i in range(scenes.val))
                scores["val_teacher"] = self.lesson.score(batch.to(self.device) for batch in images)
            write_tensors(self.checkpoint, self.encoder.state_dict(), torch.float16)
        return scores

    def _crops(self, seed: int) -> PhotographCrops | None:
        """Return the sequence of crops of that seed; None without photographs."""
        teacher = self.recipe.teacher
        if not self.photographs:
            return None
        return PhotographCrops(self.photographs, crops=teacher.crops, side=teacher.crop, seed=seed)

    def _steps(self, log: MetricsLog, stop: StopRequest) -> None:
        train, progress = self.recipe.train, self.progress
        started, before = time.monotonic(), progress.seconds
        seen, since = 0, started
        for batch in patiently(self.batches(), partial(self._stop_if, stop)):
            terms = self.train_batch(*batch)
            progress.step += 1
            progress.seconds = before + time.monotonic() - started
            progress.add(terms)
            seen += 1
            self.observer.batch(progress.step, train.steps, terms)
            last = self.done >= 1
            if last or progress.step % train.log_every == 0:
                record = self._record(progress.means(), seen, time.monotonic() - since)
                if last or progress.step % train.validate_every == 0:
                    record |= self.validate()
                progress.seconds = before + time.monotonic() - started
                record["seconds"] = progress.seconds
                log.append(record)
                self.observer.epoch(record)
                progress.log_lines = log.lines
                self.save()
                seen, since = 0, time.monotonic()
            if last:
                break
            self._stop_if(stop)

    def _stop_if(self, stop: StopRequest) -> None:
        """End here, between two steps, when that was asked for: also while no batch comes."""
        if stop.asked:
            self.save()
            raise Interrupted("stopped; the state is saved.", about="stopped", run=self.run.path)

    def _record(self, terms: dict[str, float], batches: int, seconds: float) -> dict[str, Any]:
        rate = learning_rate(self.recipe.train, self.done)
        return {
            "step": self.progress.step,
            "done": self.done,
            "lr": rate,
            **terms,
            "scenes_per_s": batches * self.recipe.train.scenes / seconds,
            "memory_mb": peak_memory_mb(self.device),
        }


def _lesson(recipe: PretrainRecipe, model: PromptedSegmenter, encoder: SamEncoder, device: torch.device) -> Lesson:
    """Return what the recipe's teacher is for, whose imitator becomes a part of the model. Raises UsageError."""
    scenes, teacher = recipe.scenes, recipe.teacher
    sides = [scenes.size, scenes.size // scenes.parts, *([teacher.crop] if teacher.photographs else [])]
    lesson = Lesson.of(Teacher.of(teacher, sides).to(device), encoder)
    model.imitator = lesson.imitator
    return lesson
