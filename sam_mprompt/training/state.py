"""The resumable state of a training: everything that decides the next step, in one folder, replaced atomically."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..adapter.contents import METRICS
from ..errors import RunError, UsageError
from ..evaluation.metrics import Metrics
from ..files import read_record, remove, replacing, sha256_of
from ..tensor_files import read_shapes, read_tensors, write_tensors
from .ema import MovingAverage, trained_tensors
from .run import RunFolder

_TENSORS, _PROGRESS, _CHECKSUM = "state.safetensors", "progress.json", "sha256"
_CONTENTS = (OSError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError)
"""What contents raise that are not those of a state: one of version 0.1 has no checksums to tell it by."""


@dataclass
class TrainingProgress:
    """Where a training stands.

    Attributes:
        epoch: 0-based epoch that is running or comes next.
        batch: batches of this epoch that are done.
        step: optimizer steps done in all.
        best: the figures with the lowest validation MAE so far, or None before the first validation.
        best_epoch: 1-based epoch they were reached after.
        val_iou: of a segmenter alone, after its last validation.
        log_lines: lines of metrics.jsonl that belong to this state; later ones are dropped on resuming.
        seconds: time spent training so far.
        sums: of each loss term over the batches of which the next record tells the mean.
        summed: how many these are; fewer than were trained in the epoch where version 0.1 began it.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best: Metrics | None = None
    best_epoch: int | None = None
    val_iou: float | None = None
    log_lines: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    summed: int = 0

    def add(self, terms: Mapping[str, float]) -> None:
        """Count a batch's loss terms towards the means of the next record."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in terms.items()}
        self.summed += 1

    def means(self) -> dict[str, float]:
        """Return the mean of each loss term since the last call, and begin anew; nothing where no batch came."""
        means = {name: value / self.summed for name, value in self.sums.items()}
        self.sums, self.summed = {}, 0
        return means


def save_state(
    run: RunFolder,
    progress: TrainingProgress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    average: MovingAverage | None,
    scaler: torch.amp.GradScaler | None,
) -> None:
    """Write the state so that a kill at any moment leaves either the old or the new one.

    The old one is kept as `run.state_before`, for a disk that damages the new one.

    Raises:
        RunError: a tensor holds NaN or infinity (a broken state must not replace a good one), the disk is full, or the
            run's folder was deleted or moved.
    """
    run.expect_begun()
    tensors = {f"model.{name}": tensor for name, tensor in _changing(model).items()}
    described = optimizer.state_dict()
    scalars: dict[str, Any] = {}
    for number, values in described["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"optimizer.{number}.{key}"] = value
            else:
                scalars[f"{number}.{key}"] = value
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.values.items()}
    broken = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if broken:
        raise RunError(
            f"Step {progress.step} left NaN or infinity in {broken[0]} ({len(broken)} tensors): the state before it is "
            "kept. Lower train.lr or set train.max_grad_norm.",
            about="diverged",
        )
    tensors["rng.cpu"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors |= {f"rng.cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    record = {
        "progress": asdict(progress),
        "optimizer": scalars,
        "average_updates": average.updates if average is not None else 0,
        "scaler": scaler.state_dict() if scaler is not None else {},
    }
    with replacing(run.state, keep=run.state_before) as temporary:
        temporary.mkdir()
        record["tensors"] = write_tensors(temporary / _TENSORS, tensors)
        record[_CHECKSUM] = _checksum(record)
        (temporary / _PROGRESS).write_text(json.dumps(record, indent=1), encoding="utf-8")


def load_state(
    run: RunFolder,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    average: MovingAverage | None,
    scaler: torch.amp.GradScaler | None,
    say: Callable[[str], None] = lambda _line: None,
) -> TrainingProgress:
    """Put a saved state back; its shapes are compared with what they go into before any content is read.

    One that the disk has damaged is told with `say`, and the state before it, where there is one, is taken instead:
    the training does a few steps again, to the same weights.

    Raises:
        UsageError: the state is damaged and there is none before it, or it belongs to another recipe.
    """
    into = (run, model, optimizer, average, scaler)
    try:
        return _put_back(run.state, *into)
    except UsageError as error:
        if not run.state_before.is_dir() or not _is_damaged(run.state, error):
            raise
        try:
            progress = _put_back(run.state_before, *into)
        except UsageError:
            raise error from None
        say(f"The disk has damaged '{run.state}'; the state before it is whole: going on from step {progress.step}.")
        return progress


def _put_back(
    folder: Path,
    run: RunFolder,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    average: MovingAverage | None,
    scaler: torch.amp.GradScaler | None,
) -> TrainingProgress:
    parts = {"model": _changing(model)} | ({"average": average.values} if average is not None else {})
    with _telling(folder):
        shapes = read_shapes(folder / _TENSORS)
    _expect(folder, [*_misfits(shapes, parts), *_misfits_of_optimizer(shapes, optimizer)])
    record, tensors = _read(folder)
    try:
        progress = _progress(record["progress"], run)
        described = _optimizer_state(optimizer, tensors, record["optimizer"])
        updates, scaled = int(record["average_updates"]), dict(record["scaler"])
        torch.set_rng_state(tensors["rng.cpu"])
    except (RuntimeError, *_CONTENTS) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    _restore(parts, tensors)
    if average is not None:
        average.updates = updates
    try:
        optimizer.load_state_dict(described)
        if scaler is not None and scaled:
            scaler.load_state_dict(scaled)
    except (RuntimeError, *_CONTENTS) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from error
    if torch.cuda.is_available():
        states = [tensors[name] for name in sorted(tensors) if name.startswith("rng.cuda.")]
        if len(states) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(states)
    return progress


def load_weights(run: RunFolder, model: nn.Module) -> None:
    """Put a state's weights into a model, the averaged ones where it holds them: what validation saw last.

    Raises:
        UsageError: the state is damaged or belongs to another recipe.
    """
    with _telling(run.state):
        shapes = read_shapes(run.state / _TENSORS)
    averaged = any(name.startswith("average.") for name in shapes)
    parts = {"model": _changing(model)} | ({"average": trained_tensors(model)} if averaged else {})
    _expect(run.state, _misfits(shapes, parts))
    _restore(parts, _read(run.state)[1])


def discard_before(run: RunFolder) -> None:
    """Delete the state before the last one, which a training that is done needs no longer."""
    (run.state_before / _PROGRESS).unlink(missing_ok=True)  # without it, it is no state: a kill leaves no half of one
    remove(run.state_before)


def discard_start(run: RunFolder) -> None:
    """Delete the first state of a run in which no step was taken, and what belongs to it; other runs are left alone."""
    try:
        begun = read_record(run.state / _PROGRESS)["progress"]["step"] != 0
    except (UsageError, *_CONTENTS):
        return
    if not begun and not run.adapter.exists():
        remove(run.state)
        discard_before(run)
        run.discard_unsaved()


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return record and tensors of a state, as they were written: version 0.1 kept no checksums to tell it by."""
    with _telling(folder):
        record = read_record(folder / _PROGRESS)
    kept = record.pop(_CHECKSUM, None)
    if kept is not None and kept != _checksum(record):
        raise _damaged(folder, f"{_PROGRESS} was changed after it was written")
    sha256 = record.get("tensors")
    if (kept is None) != (sha256 is None):
        raise _damaged(folder, f"{_PROGRESS} has lost a checksum")
    with _telling(folder):
        return record, read_tensors(folder / _TENSORS, sha256=sha256)


def _is_damaged(folder: Path, error: UsageError) -> bool:
    """Whether what was refused is the disk's doing: a damaged header, too, may seem to be that of another recipe."""
    if error.about == "damaged state":
        return True
    try:
        sha256 = read_record(folder / _PROGRESS).get("tensors")
        return sha256 is not None and sha256_of(folder / _TENSORS) != sha256
    except UsageError:
        return True


def _checksum(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    """Let what is wrong with a file be what is wrong with the state."""
    try:
        yield
    except UsageError as error:
        raise _damaged(folder, str(error).removesuffix(" Get it again.").rstrip(".")) from error


def _damaged(folder: Path, why: str) -> UsageError:
    return UsageError(f"'{folder}' holds no readable training state ({why}).", about="damaged state")


def _optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], scalars: dict[str, Any]
) -> dict[str, Any]:
    """Return what `load_state_dict` takes: the optimizer's own groups with the saved values of each parameter.

    `_misfits_of_optimizer` has compared the shapes.
    """
    described = optimizer.state_dict()
    described["state"] = {}
    saved = {name.removeprefix("optimizer."): t for name, t in tensors.items() if name.startswith("optimizer.")}
    for name, value in (*saved.items(), *scalars.items()):
        number, key = name.split(".", 1)
        described["state"].setdefault(int(number), {})[key] = value
    return described


def _progress(values: dict[str, Any], run: RunFolder) -> TrainingProgress:
    """Read what `asdict` wrote. Version 0.1 kept the best MAE alone; its adapter holds the other figures beside it."""
    values = dict(values)
    if "best_mae" in values and values.pop("best_mae") is not None:
        values["best"] = read_record(run.adapter / METRICS)["val"]
    best = values.pop("best", None)
    progress = TrainingProgress(**values, best=None if best is None else Metrics(**best))
    numbers = (progress.epoch, progress.batch, progress.step, progress.log_lines)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"expected epoch, batch, step and log_lines as whole numbers from 0, got {numbers}")
    shares = (progress.seconds, progress.val_iou, *(vars(progress.best).values() if progress.best else ()))
    if not all(value is None or type(value) in (int, float) for value in (progress.best_epoch, *shares)):
        raise ValueError("expected numbers for seconds and the best figures")
    return progress


def _changing(model: nn.Module) -> dict[str, Tensor]:
    """Return what training changes: trainable parameters, and buffers (batch norm statistics and counters)."""
    kept = model.state_dict()
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor for name, tensor in kept.items() if name not in frozen}


def _misfits(shapes: Mapping[str, tuple[int, ...]], parts: Mapping[str, Mapping[str, Tensor]]) -> list[str]:
    """Return what a state lacks, or has of other names or shapes than the parts that it goes into."""
    expected = {
        f"{part}.{name}": tuple(tensor.shape) for part, target in parts.items() for name, tensor in target.items()
    }
    saved = {name: shape for name, shape in shapes.items() if name.partition(".")[0] in parts}
    return sorted(name for name in expected.keys() | saved.keys() if expected.get(name) != saved.get(name))


def _misfits_of_optimizer(shapes: Mapping[str, tuple[int, ...]], optimizer: torch.optim.Optimizer) -> list[str]:
    """Return what an optimizer keeps of a parameter, numbers aside, in another shape than the parameter's."""
    stepped = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    by_number = {f"optimizer.{number}": tuple(parameter.shape) for number, parameter in enumerate(stepped)}
    kept = {name: shape for name, shape in shapes.items() if name.startswith("optimizer.") and shape != ()}
    return sorted(name for name, shape in kept.items() if by_number.get(name.rpartition(".")[0]) != shape)


def _expect(folder: Path, misfits: Sequence[str]) -> None:
    if misfits:
        raise UsageError(
            f"The state in '{folder}' does not fit the recipe: {misfits[0]} and {len(misfits) - 1} more tensors "
            "differ. Go on with the run's own recipe.toml."
        )


def _restore(parts: Mapping[str, Mapping[str, Tensor]], tensors: Mapping[str, Tensor]) -> None:
    """Copy the parts of a state into what they belong to; `_misfits` has found none."""
    for part, target in parts.items():
        for name, tensor in target.items():
            tensor.copy_(tensors[f"{part}.{name}"])
