"""Pre-training of a small base: a SAM encoder learns promptable segmentation on procedural scenes without people."""

import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ..errors import Interrupted, RunError
from ..files import write_text
from ..models.normalise import normalise
from ..models.sam_config import SamConfig
from ..models.sam_encoder import SamEncoder
from ..tensor_files import write_tensors
from ..training.ema import MovingAverage
from ..training.log import RunLog, peak_memory_mb
from ..training.muon import Muon
from ..training.state import TrainingProgress, load_state, save_state
from .recipe import PretrainRecipe
from .scenes import PromptedBatch, PromptedScenes
from .thing_decoder import CELL, MAPS, Answers, PromptedSegmenter, ThingDecoder, mask_iou, mask_loss, offset_loss

_SMALL = 25  # cells: a thing of at most about 20 x 20 pixels
_UNDECAYED = ("pos_embed", "rel_pos")
_BRANCH_ENDS = ("attn.proj.weight", "mlp.lin2.weight")
_PATCHES = "patch_embed."
# A step of Adam moves all of a patch's pixels alike, and their brightness agrees: at the full rate the tokens explode.
_PATCH_SHARE = 0.1
_PATCH_SCENES = 12
_PATCH_FLOOR = 0.02  # of a component's variance; what is below is noise


def pretrain(recipe: PretrainRecipe, *, out: Path, resume: bool, console: Console) -> Path:
    """Train an encoder from scratch and write its averaged weights as float16.

    Args:
        recipe: fully resolved.
        out: run folder: `state/`, `metrics.jsonl`, `recipe.toml` and the checkpoint; must not hold a run unless
            `resume`.
        resume: go on from `out/state`. Without a time limit in the recipe that leads to the same weights as an
            uninterrupted run.
        console: of stderr.

    Returns:
        The checkpoint, `out/NAME.safetensors`: the encoder alone under SAM's names, as `SamEncoder.from_checkpoint`
        reads it. It is also renewed at every validation.

    Raises:
        UsageError: an encoder that cannot be, or a state that does not fit the recipe.
        RunError: the loss became NaN or infinite, or the disk is full.
        Interrupted: Ctrl-C; the last saved state is kept.
    """
    return Pretrainer(recipe, out, resume=resume, console=console).train()


class Pretrainer:
    """Everything one pre-training needs, put together from the recipe. Arguments as `pretrain`."""

    def __init__(self, recipe: PretrainRecipe, out: Path, *, resume: bool, console: Console) -> None:
        self.recipe, self.out, self.console = recipe, out, console
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model, self.encoder = build(recipe)
        self.model.to(self.device)
        train = recipe.train
        groups = _groups(self.model, train.weight_decay, orthogonal=train.optimizer == "muon")
        self.optimizer = Muon(groups, lr=train.lr, betas=(0.9, 0.98))
        self.average = MovingAverage(self.model, train.ema)
        self.progress = TrainingProgress()
        if resume:
            self.progress = load_state(out / "state", self.model, self.optimizer, average=self.average, scaler=None)
        self.checkpoint = out / f"{recipe.name}.safetensors"

    def train(self) -> Path:
        """Run all steps that are left. Raises as `pretrain`."""
        train = self.recipe.train
        write_text(self.out / "recipe.toml", self.recipe.to_toml())
        with RunLog(
            self.out / "metrics.jsonl",
            self.console,
            epochs=1,
            batches=train.steps,
            kept_lines=self.progress.log_lines,
            active=True,
        ) as self.log:
            try:
                self._steps()
            except KeyboardInterrupt as error:
                raise Interrupted(f"stopped. Go on from the last saved state with --resume --out {self.out}") from error
        return self.checkpoint

    def _steps(self) -> None:
        train = self.recipe.train
        started, before = time.monotonic(), self.progress.seconds
        sums: dict[str, float] = {}
        seen, since = 0, started
        for batch in self._batches():
            terms = self._step(batch)
            self.progress.step += 1
            self.progress.seconds = before + time.monotonic() - started
            sums = {name: sums.get(name, 0.0) + value for name, value in terms.items()}
            seen += 1
            self.log.batch(self.progress.step, terms)
            last = self.done() >= 1
            if not last and self.progress.step % train.log_every:
                continue
            record: dict[str, Any] = {"step": self.progress.step, "done": self.done(), "lr": self._lr()}
            record |= {name: value / seen for name, value in sums.items()}
            record["scenes_per_s"] = seen * train.scenes / (time.monotonic() - since)
            record["memory_mb"] = peak_memory_mb(self.device)
            if last or self.progress.step % train.validate_every == 0:
                record |= self.validate()
                self._export()
            self.progress.seconds = before + time.monotonic() - started
            self.log.epoch(record | {"seconds": self.progress.seconds})
            self.progress.log_lines = self.log.lines
            save_state(self.out / "state", self.progress, self.model, self.optimizer, average=self.average, scaler=None)
            sums, seen, since = {}, 0, time.monotonic()
            if last:
                break

    def _batches(self) -> Iterator[PromptedBatch]:
        train, task = self.recipe.train, self.recipe.task
        scenes = PromptedScenes(self.recipe.scenes, scenes=train.scenes, prompts=task.prompts, seed=train.seed)
        loader: DataLoader[PromptedBatch] = DataLoader(
            scenes,
            batch_size=None,
            sampler=range(self.progress.step, train.steps),
            num_workers=train.workers,
            worker_init_fn=_start_worker,
            prefetch_factor=8 if train.workers else None,
            # Fresh processes: a fork of one with torch's and OpenCV's threads can inherit a lock that nobody opens.
            multiprocessing_context="spawn" if train.workers else None,
            # Its own generator: starting again after an interruption must not move torch's random state.
            generator=torch.Generator().manual_seed(train.seed),
        )
        return iter(loader)

    def done(self) -> float:
        """Return the share of the budget that is used up: of the steps or of the time, whichever is more."""
        train = self.recipe.train
        in_time = self.progress.seconds / (60 * train.minutes) if train.minutes else 0.0
        return max(self.progress.step / train.steps, in_time)

    def _lr(self) -> float:
        train, done = self.recipe.train, min(self.done(), 1.0)
        if done < train.warmup:
            return train.lr * (done + 1e-4) / (train.warmup + 1e-4)
        return train.lr * 0.5 * (1 + math.cos(math.pi * (done - train.warmup) / (1 - train.warmup)))

    def _step(self, batch: PromptedBatch) -> dict[str, float]:
        train = self.recipe.train
        terms = self._losses(batch)
        values = {name: float(term.detach()) for name, term in terms.items()}
        if not torch.isfinite(terms["loss"]):
            raise RunError(
                f"The loss is not finite in step {self.progress.step + 1}: "
                f"{', '.join(f'{name} {value:g}' for name, value in values.items())}. The last saved state is kept; "
                "lower train.lr or set train.max_grad_norm, then --resume."
            )
        self.optimizer.zero_grad()
        terms["loss"].backward()
        if train.max_grad_norm > 0:
            nn.utils.clip_grad_norm_(self.model.parameters(), train.max_grad_norm)
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = self._lr() * parameters["share"]
        self.optimizer.step()
        self.average.update(self.model)
        return values

    def _losses(self, batch: PromptedBatch) -> dict[str, Tensor]:
        task = self.recipe.task
        images = self._images(batch)
        answers: Answers = self.model(images, batch.prompts.to(self.device))
        valid = batch.valid
        masks, wanted = answers.masks[valid.to(self.device)], batch.masks()[valid].float().to(self.device)
        terms = {"masks": mask_loss(masks, wanted) if valid.any() else answers.masks.sum() * 0}
        if task.maps > 0:
            terms["maps"] = mask_loss(answers.maps, batch.maps.to(self.device))
        if task.offsets > 0:
            targets, labels = batch.offsets.to(self.device), batch.labels.to(self.device)
            terms["offsets"] = offset_loss(answers.offsets, targets, labels)
        if task.colours > 0:
            terms["colours"] = F.mse_loss(answers.colours, F.avg_pool2d(images, CELL))
        weights = task.model_dump()
        return {"loss": torch.stack([weights[name] * term for name, term in terms.items()]).sum(), **terms}

    def _images(self, batch: PromptedBatch) -> Tensor:
        return _normalised(self.encoder, batch.images.to(self.device))

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Segment the fixed validation scenes with the averaged weights.

        Returns:
            `val_iou` over all prompts, `val_iou_small` over prompts on things of at most 25 cells, and `val_NAME`,
            the squared error of each dense map divided by that of predicting its mean (for `val_offsets`: zero).
        """
        train, scenes = self.recipe.train, self.recipe.scenes
        held_out = PromptedScenes(scenes, scenes=1, prompts=self.recipe.task.prompts, seed=train.seed + 1_000_003)
        ious, small, errors = [], [], []
        with self.average.applied(self.model):
            self.model.eval()
            for index in range(scenes.val):
                batch = held_out[index]
                answers: Answers = self.model(self._images(batch), batch.prompts.to(self.device))
                wanted = batch.masks()
                iou = mask_iou(answers.masks.cpu(), wanted)[batch.valid]
                ious.append(iou.flatten())
                small.append(iou[wanted[batch.valid].sum((-2, -1)) <= _SMALL])
                mean = batch.maps.mean((0, 2, 3), keepdim=True)
                pair = (answers.maps.sigmoid().cpu() - batch.maps).square(), (mean - batch.maps).square()
                dense = torch.stack([error.mean((0, 2, 3)) for error in pair])
                guesses = answers.offsets.cpu(), torch.zeros_like(batch.offsets)
                placed = torch.stack([offset_loss(guess, batch.offsets, batch.labels) for guess in guesses])
                errors.append(torch.cat([dense, placed[:, None]], dim=1))
            self.model.train()
        ours, naive = torch.stack(errors).mean(0)
        record = {"val_iou": torch.cat(ious), "val_iou_small": torch.cat(small)}
        scores = {name: float(values.mean()) for name, values in record.items() if len(values)}
        names = (*MAPS, "offsets")
        return scores | {f"val_{name}": float(ours[i] / naive[i].clamp(min=1e-9)) for i, name in enumerate(names)}

    def _export(self) -> None:
        with self.average.applied(self.model):
            write_tensors(self.checkpoint, self.encoder.state_dict(), torch.float16)


def build(recipe: PretrainRecipe) -> tuple[PromptedSegmenter, SamEncoder]:
    """Return the model to train, with fresh weights of the recipe's seed, and the encoder inside it.

    Position tables start at zero: what no training size reads of them then stays smooth. Tokens start as the whitened
    principal components of patches, and blocks add little to them: all of a patch that fits in reaches the decoder from
    the first step.

    Raises:
        UsageError: an encoder that cannot be.
    """
    config = SamConfig(**recipe.encoder.model_dump())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        encoder = SamEncoder(config)
        _whiten(encoder, recipe)
        for name, parameter in encoder.blocks.named_parameters():
            if name.endswith(_BRANCH_ENDS):
                parameter.data /= math.sqrt(2 * config.depth)  # GPT-2's rule for residual branches
        return PromptedSegmenter(encoder, ThingDecoder(config.out_channels, recipe.task.embedding)), encoder


@torch.no_grad()
def _whiten(encoder: SamEncoder, recipe: PretrainRecipe) -> None:
    """Set the patch embedding to the principal components of the patches of a few scenes, each of variance 1."""
    seed = recipe.train.seed + 2_000_003
    scenes = PromptedScenes(recipe.scenes, scenes=_PATCH_SCENES, prompts=1, seed=seed)
    projection, side = encoder.patch_embed.proj, encoder.stride
    patches = F.unfold(_normalised(encoder, scenes[0].images), side, stride=side).mT.flatten(0, 1).double()
    mean = patches.mean(0)
    variances, components = torch.linalg.eigh((patches - mean).T @ (patches - mean) / len(patches))
    count = min(len(projection.weight), len(variances))
    chosen = (components / (variances.clamp(min=0) + _PATCH_FLOOR).sqrt()).T.flip(0)[:count]
    projection.weight[:count] = chosen.view(count, *projection.weight.shape[1:]).float()
    projection.bias[:count] = -(chosen @ mean).float()


def _normalised(encoder: SamEncoder, images: Tensor) -> Tensor:
    """Images (B, 3, H, W) from uint8 to what the encoder expects."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (encoder.mean, encoder.std))
    return normalise(images, mean, std)


def _groups(model: nn.Module, weight_decay: float, *, orthogonal: bool) -> list[dict[str, Any]]:
    """Parameter groups: biases, norms and positions are not decayed, patches learn at a `share` of the rate.

    With `orthogonal` the matrices inside the blocks are marked for Muon.
    """
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decayed = parameter.ndim > 1 and not any(part in name for part in _UNDECAYED)
        matrix = orthogonal and decayed and parameter.ndim == 2 and ".blocks." in name
        groups.setdefault((decayed, _PATCHES in name, matrix), []).append(parameter)
    return [
        {
            "params": found,
            "weight_decay": weight_decay * decayed,
            "share": _PATCH_SHARE if patches else 1.0,
            "orthogonal": matrix,
        }
        for (decayed, patches, matrix), found in groups.items()
    ]


def _start_worker(_worker: int) -> None:
    """Ctrl-C is the main process's affair; one core a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(1)
