"""Performing an ablation: every run is trained once and remembered by a record; what is done is not done again."""

import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch

from ..counting.counter import load
from ..data.formats.read import read_split
from ..data.sample import Sample
from ..data.sources import DiskSource, Source, data_root, open_split
from ..errors import RunError, UsageError
from ..evaluation.evaluate import Evaluation, evaluate
from ..evaluation.metrics import mask_iou
from ..files import locked, recover_within
from ..recipe.schema import DataRecipe, Recipe, TargetRecipe, load_recipe
from ..targets import box_mask
from ..training.finetune import FinetuneResult, claimed_run, finetune
from ..training.held_out import read_held_out
from ..training.observer import SILENT, Observer
from ..training.run import RunFolder
from ..training.trained import load_run
from ..version import __version__
from .records import Record, append_record, read_records, run_fingerprint
from .variants import Run

Key = tuple[str, int]
"""Row and seed."""


def perform(
    runs: Sequence[Run],
    records: Path,
    *,
    data: Path | None,
    test: bool,
    observer: Observer = SILENT,
    minutes: float = float("inf"),
) -> Iterator[Record]:
    """Train every run that `records` does not hold yet, append its record there, and yield it.

    A run that was cut is resumed. One that fails while working (a loss that became NaN) is reported and passed over.

    Args:
        runs: from `plan`.
        records: a file of JSON lines.
        data: the dataset's folder, or None for the recipe's own.
        test: count the test split too, once per run, after training.
        observer: hears what happens.
        minutes: no run is started after this time.

    Raises:
        UsageError: data, masks or base that cannot be had, a test split that is not there, or `records` of other
            trainings. Data, masks and test splits are looked for before anything is trained.
        RunError: in the end, when runs failed.
        Interrupted: stopped on request, with the state saved.
    """
    started, failed = time.monotonic(), 0
    done = {(record.row, record.seed): record for record in read_records(records)}
    pending = [run for run in runs if run.key not in done]
    marks = check_before(runs, done, records, data=data, test=test, observer=observer)
    for run in pending:
        if time.monotonic() - started > 60 * minutes:
            break
        observer.say(f"{run.label}: {run.folder.path}")
        try:
            record = train_run(run, data, marks[run.key], test=test, observer=observer)
        except RunError as error:
            failed += 1
            observer.say(f"{run.label} failed: {error}")
            continue
        append_record(records, record)
        yield record
    if failed:
        raise RunError(f"{failed} of {len(runs)} runs failed, see above; the others are in '{records}'.")


@contextmanager
def folder_of_runs(folder: Path) -> Iterator[None]:
    """Keep other processes out of an ablation's folder until the block ends; what killed ones left in it goes.

    A folder that is new and empty in the end, since what was asked for was refused, goes too.

    Raises:
        UsageError: another process fills it.
        RunError: it cannot be made.
    """
    new = not folder.exists()
    try:
        with locked(folder, "filled"):
            recover_within(folder)
            yield
    finally:
        if new:
            with suppress(OSError):
                folder.rmdir()


def progress_of(runs: Sequence[Run], records: Path) -> str:
    """Return how many of the runs have a record; the folder may hold those of more seeds."""
    found = {run.key for run in runs} & {(record.row, record.seed) for record in read_records(records)}
    return f"{len(found)} of {len(runs)} runs are done"


def check_before(
    runs: Sequence[Run],
    done: Mapping[Key, Record],
    records: Path,
    *,
    data: Path | None,
    test: bool,
    observer: Observer,
) -> dict[Key, str]:
    """Refuse before the first run what would be refused after hours; return the fingerprints of the runs.

    A finished table can be drawn again without its data: where nothing is pending, missing data is only told.

    Raises:
        UsageError: as `perform`.
    """
    for run in (run for run in runs if run.key in done):
        refuse_other_training(run, done[run.key], records, test=test)
    pending = [run for run in runs if run.key not in done]
    if test:
        expect_test_splits(pending, data)
    try:
        marks = fingerprints([run for run in runs if run.key not in done or done[run.key].fingerprint], data)
    except UsageError as error:
        if pending:
            raise
        observer.say(f"Not compared with the data, which is not at hand: {error}")
        return {}
    for run in (run for run in runs if run.key in done.keys() & marks.keys()):
        if done[run.key].fingerprint != marks[run.key]:
            raise UsageError(
                f"'{records}' holds {run.label}, by the same settings, but recipe '{run.recipe}' or the data has "
                "changed since.",
                about="other training",
            )
    return marks


def train_run(run: Run, data: Path | None, mark: str, *, test: bool, observer: Observer) -> Record:
    """Train one run, or go on with it where it was cut, and count the test split when that is asked for.

    Raises:
        UsageError: its folder was begun with another recipe or other data.
        RunError, Interrupted: as `finetune`.
    """
    run.folder.recover()
    resume = run.folder.has_state
    if resume and run.folder.fingerprint not in (None, mark):
        raise UsageError(
            f"'{run.folder.path}' was begun by the same settings, but recipe '{run.recipe}' or the data has changed "
            "since. Delete that folder, or choose another one.",
            about="other training",
        )
    with claimed_run(run.recipe, run.settings, run.folder.path, resume=resume) as (recipe, folder):
        if not resume:
            folder.mark(mark)
        result = finetune(recipe, data=data, run=folder, resume=resume, observer=observer)
    if not isinstance(result, FinetuneResult):
        raise UsageError("An ablation compares counters, trained in one process: no loss.density = 0, no launcher.")
    counted = count_test(result, recipe, data) if test else None
    tested = counted and counted.metrics
    return Record(
        row=run.row.label,
        seed=run.seed,
        recipe=run.recipe,
        settings=run.settings,
        machine=f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} CPU threads",
        epochs=result.epochs,
        seconds=round(result.seconds, 1),
        best_epoch=result.epoch,
        val_mae=result.val.mae,
        val_rmse=result.val.rmse,
        val_nae=result.val.nae,
        val_mean_mae=result.mean_mae,
        trainable=result.trainable,
        total=result.total,
        test_mae=tested and tested.mae,
        test_rmse=tested and tested.rmse,
        test_nae=tested and tested.nae,
        val_errors=tuple(round(row.counted - row.heads, 2) for row in read_held_out(folder.held_out)) or None,
        mask_iou=mask_overlap(folder, recipe, data),
        test_errors=counted and tuple(round(row.error, 2) for row in counted.rows if row.error is not None),
        version=__version__,
        fingerprint=folder.fingerprint,
    )


def refuse_other_training(run: Run, record: Record, records: Path, *, test: bool) -> None:
    """Raise UsageError when a record is not that of a run, or lacks the test figures that are asked for."""
    if not _same_training(run, record):
        other = " ".join((f"recipe '{record.recipe}' with", *record.settings))
        raise UsageError(f"'{records}' holds {run.label}, of another training: {other}.", about="other training")
    if test and record.test_mae is None:
        raise UsageError(
            f"'{records}' holds {run.label}, without figures of the test split.",
            about="trained without test",
            run=run.folder.path,
        )


def _same_training(run: Run, record: Record) -> bool:
    """Whether a record's settings make the same recipe as a run's, however either is spelt."""
    if (record.recipe, record.settings) == (run.recipe, run.settings):
        return True
    try:
        return load_recipe(record.recipe, record.settings) == load_recipe(run.recipe, run.settings)
    except UsageError:  # a recipe or a key that is there no longer
        return False


def fingerprints(runs: Sequence[Run], data: Path | None) -> dict[Key, str]:
    """Return the fingerprint of every run by its key; reading what it needs refuses data and masks that are missing."""
    opened: dict[tuple[DataRecipe, TargetRecipe], tuple[Source, Source]] = {}
    found = {}
    for run in runs:
        recipe = load_recipe(run.recipe, run.settings)
        # Annotation as it is on disk, without filling a cache.
        read = recipe.data.model_copy(update={"annotation_noise": 0.0, "cache": "none"})
        plain = recipe.model_copy(update={"data": read})
        if (key := (read, recipe.targets)) not in opened:
            root = data_root(plain.data, data)
            opened[key] = open_split(plain, "train", root).source, open_split(plain, "val", root).source
        found[run.key] = run_fingerprint(recipe, *opened[key])
    return found


def expect_test_splits(runs: Sequence[Run], data: Path | None) -> None:
    """Refuse a test split that is not there or not annotated, before hours are spent on training for it."""
    for recipe in {(each := load_recipe(run.recipe, run.settings)).data: each for run in runs}.values():
        if (root := data_root(recipe.data, data)) is None:
            raise UsageError("Procedural crowds have no test split.", about="no test split")
        if all(sample.points is None for sample in _test_samples(recipe.data, root)):
            raise UsageError(f"The test split of '{root}' has no annotations.", about="no test split")


def count_test(result: FinetuneResult, recipe: Recipe, data: Path | None) -> Evaluation:
    """Count the test split, which nothing before has looked at."""
    root = data_root(recipe.data, data)
    assert root is not None, "photographs, as expect_test_splits saw"
    counted = evaluate(load(result.adapter).count, _test_samples(recipe.data, root))
    assert counted.metrics is not None, "an annotated test split, as expect_test_splits saw"
    return counted


def mask_overlap(run: RunFolder, recipe: Recipe, data: Path | None) -> float | None:
    """Return the mean IoU, in [0, 1], of a run's masks (its last weights) with the head boxes of its validation images.

    None without a segmenter, or where no image has boxes.
    """
    if recipe.loss.segmentation == 0:
        return None
    source = open_split(recipe, "val", data_root(recipe.data, data)).source
    if isinstance(source, DiskSource) and all(sample.boxes is None for sample in source.samples):
        return None
    trained = load_run(run, device=torch.device("cpu"))
    found = []
    for index in range(len(source)):
        frame = source.frame(0, index)
        if frame.boxes is not None and len(frame.boxes):
            logits = trained.predict(source.original(index)[0]).mask_logits
            assert logits is not None, "a segmenter"
            found.append(mask_iou(logits > 0, box_mask(frame.boxes, frame.size, stride=trained.counter.stride)))
    return float(np.mean(found)) if found else None


def _test_samples(data: DataRecipe, root: Path) -> list[Sample]:
    return read_split(
        root, "test", format=data.format, fold=data.fold, label=data.label or None, columns=data.columns
    ).samples
