"""What an ablation remembers of its runs: a record each, and what a run depended on."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ..data.masks import read_mask
from ..data.sources import DiskSource, Source
from ..errors import UsageError
from ..files import parse_json, write_text
from ..recipe.schema import Recipe
from .legacy import settings_as_before, upgraded_record

_INDIFFERENT: dict[str, Any] = {
    "dataset": True,
    "data": {"root", "cache_root", "cache_gb"},
    "train": {"preview_every", "save_minutes", "workers", "tensorboard"},
}


class Record(BaseModel):
    """What a finished run is remembered by; errors are in heads per image.

    Attributes:
        row, seed: which run.
        recipe, settings: what was trained: a recipe's name or file, and every `KEY=VALUE` set on top of it, in order.
        machine: kind of machine and number of threads.
        epochs, seconds: length of the training.
        best_epoch, val_mae, val_rmse: chosen on validation.
        val_mean_mae: validation MAE of predicting the training images' mean.
        trainable, total: numbers of parameters while training.
        test_mae, test_rmse: on the test split, counted once after training, or None.
        val_nae, test_nae: mean of |error| / actual over images with heads; None without such an image, and in records
            made before they were kept.
        val_errors, test_errors: counted less annotated heads of each annotated image, in the order of the split, to a
            hundredth: what intervals over images are made of. None likewise.
        mask_iou: mean IoU of the segmenter's masks, by the last weights, with the exact head boxes of the validation
            images that have some; None without them or without a segmenter. None likewise.
        version: of this package; None in records made before it was kept.
        fingerprint: see `run_fingerprint`; None likewise.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    row: str
    seed: int
    recipe: str
    settings: tuple[str, ...]
    machine: str
    epochs: int
    seconds: float
    best_epoch: int
    val_mae: float
    val_rmse: float
    val_mean_mae: float
    trainable: int
    total: int
    test_mae: float | None = None
    test_rmse: float | None = None
    val_nae: float | None = None
    test_nae: float | None = None
    val_errors: tuple[float, ...] | None = None
    test_errors: tuple[float, ...] | None = None
    mask_iou: float | None = None
    version: str | None = None
    fingerprint: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _of_0_1(cls, values: Any) -> Any:
        return upgraded_record(values) if isinstance(values, dict) else values


def run_fingerprint(recipe: Recipe, train: Source, val: Source) -> str:
    """Return 16 hex digits of what a run is trained on: its settings, and its images' names, annotation and masks.

    A record names recipe and data only, and what they name can change. Not in it are the images' pixels, the files
    that `model.base` and `train.init_from` name, and settings that do not change the outcome. Defaults are left out, so
    that a key which a later version adds changes nothing; names are those of version 0.1, whose records stay valid.

    Raises:
        UsageError: a pseudo mask is missing.
    """
    settings = settings_as_before(recipe, without=_INDIFFERENT)
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for source in (train, val):
        digest.update(f"\n{len(source)} images".encode())
        if not isinstance(source, DiskSource):
            continue
        for sample in source.samples:
            shapes = [None if values is None else len(values) for values in (sample.points, sample.boxes)]
            digest.update(f"\n{sample.image.name} {shapes}".encode())
            for values in (sample.points, sample.boxes):
                digest.update(b"" if values is None else values.tobytes())
            if source.mask_of is not None:
                digest.update(read_mask(source.mask_of(sample.image), sample.size).tobytes())
    return digest.hexdigest()[:16]


def read_records(path: Path) -> list[Record]:
    """Return the records of a file, none when there is no file. Raises UsageError for a damaged line."""
    try:
        return [Record.model_validate(parse_json(line.decode())) for line in _whole_lines(path)]
    except ValueError as error:
        why = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise UsageError(f"'{path}' does not hold records of an ablation: {why}.") from error


def append_record(path: Path, record: Record) -> None:
    """Add a line to a file of records, which is replaced as a whole. Raises RunError on a full disk."""
    lines = [line.decode() for line in _whole_lines(path)]
    write_text(path, "".join(f"{line}\n" for line in [*lines, record.model_dump_json(exclude_none=True)]))


def _whole_lines(path: Path) -> list[bytes]:
    """A file's lines without a last one that was cut, as earlier versions could leave one when they were killed."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    return [*lines[:-1], *(lines[-1:] if lines[-1].endswith(b"}") else [])]
