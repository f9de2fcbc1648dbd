"""Ablations: one recipe trained in several variants and seeds, a record per run; whatever is done is not done again."""

import json
import os
import platform
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator
from rich.console import Console

from ..counting.counter import load
from ..data.formats.read import read_split
from ..data.sample import Sample
from ..data.sources import Source, data_root, open_split
from ..errors import RunError, UsageError
from ..evaluation.evaluate import Metrics, evaluate
from ..files import recover, write_text
from ..recipe.find import find_recipe
from ..recipe.schema import DataRecipe, Recipe, Section, TargetRecipe, load_recipe, read_recipe
from ..resources import bundled
from ..training.finetune import FinetuneResult, finetune, prepare_run
from ..version import __version__
from .records import Record, append_record, read_records, run_fingerprint

_FOLDER = "ablation"


class Variant(Section):
    """A variant of a recipe.

    Attributes:
        label: what the table calls it.
        set: the `KEY=VALUE` that make it; {seed} and {dataset} stand for the seed and the recipe's dataset.
        line, x: where a plot shows it: a line's name and a place on the x axis.
        paper: MAE that the paper gives, by dataset ("sha", "shb", "qnrf", "nwpu").
    """

    label: str
    set: tuple[str, ...] = ()
    line: str = ""
    x: float | None = None
    paper: dict[str, float] = Field(default_factory=dict)


class Ablation(Section):
    """The rows of a table, as a file of recipes/ablation holds them. `name` is the file's stem."""

    name: str = "custom"
    title: str
    note: str = ""
    x_label: str = ""
    rows: Annotated[tuple[Variant, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rows_are_told_apart(self) -> Self:
        labels = [row.label for row in self.rows]
        if twice := sorted({label for label in labels if labels.count(label) > 1}):
            raise ValueError(f"every row needs a label of its own, twice: {', '.join(twice)}")
        folders = [_slug(label) for label in labels]
        if same := [label for label, folder in zip(labels, folders, strict=True) if folders.count(folder) > 1]:
            raise ValueError(f"labels name the folders of runs and must differ in letters or digits: {', '.join(same)}")
        if not all(folders):
            raise ValueError("a label names the folder of a run and needs a letter or digit")
        if {row.x is None for row in self.rows} == {True, False}:
            raise ValueError("either every row has an x, or none")
        return self


@dataclass(frozen=True)
class Run:
    """One training: a row with one seed."""

    row: Variant
    seed: int
    recipe: str
    settings: tuple[str, ...]
    folder: Path

    @property
    def key(self) -> tuple[str, int]:
        """What makes a run the same run."""
        return self.row.label, self.seed

    @property
    def overrides(self) -> list[str]:
        """All `--set` of the training."""
        known = {"{seed}": str(self.seed), "{dataset}": dataset_of(self.recipe) or Path(self.recipe).stem}
        sets = [*self.settings, *self.row.set, f"train.seed={self.seed}"]
        for name, value in known.items():
            sets = [text.replace(name, value) for text in sets]
        return sets

    @property
    def command(self) -> str:
        """The training as one would type it."""
        sets = " ".join(f"--set '{text}'" if set(text) & set(" \"'[") else f"--set {text}" for text in self.overrides)
        place = "" if load_recipe(self.recipe, self.overrides).data.format == "synthetic" else "--data DIR "
        return f"sam-mprompt finetune --recipe {self.recipe} {place}--out {self.folder.as_posix()} {sets}"


def load_ablation(name_or_file: str | Path) -> Ablation:
    """Read rows by name ("table2") or file. Raises UsageError as `load_recipe` does."""
    folders = (Path("recipes") / _FOLDER, bundled("recipes") / _FOLDER)
    return read_recipe(find_recipe(str(name_or_file), folders), (), Ablation)


def dataset_of(recipe: str) -> str:
    """Return the dataset whose figures of the paper stand beside a recipe's: "sha" for "sha-tiny-prompt", or ""."""
    return load_recipe(recipe).dataset


def plan(ablation: Ablation, recipe: str, *, seeds: dict[str, int], settings: Sequence[str], out: Path) -> list[Run]:
    """List all runs, the first seed of every row before the second of any.

    Args:
        ablation: the rows.
        recipe: name or file of the recipe that all share.
        seeds: how many seeds each row gets, by label.
        settings: `KEY=VALUE` for all rows.
        out: the runs' folders are made in it.

    Raises:
        UsageError: a row is no valid recipe; nothing was trained then.
    """
    runs = [
        Run(row, seed, recipe, tuple(settings), out / f"{_slug(row.label)}-{seed}")
        for row in ablation.rows
        for seed in range(seeds[row.label])
    ]
    for run in runs:
        load_recipe(recipe, run.overrides)  # a faulty one raises
    return sorted(runs, key=lambda run: run.seed)


def perform(
    runs: Sequence[Run],
    records: Path,
    *,
    data: Path | None,
    test: bool,
    console: Console,
    minutes: float = float("inf"),
) -> Iterator[Record]:
    """Train every run that `records` does not hold yet, append its record there, and yield it.

    A run that was cut is resumed. One that fails while working (a loss that became NaN) is reported and passed over.

    Args:
        runs: from `plan`.
        records: a file of JSON lines.
        data: the dataset's folder, or None for the recipe's own.
        test: count the test split too, once per run, after training.
        console: of stderr.
        minutes: no run is started after this time.

    Raises:
        UsageError: data, masks or base that cannot be had, a test split that is not there, or `records` of other
            trainings. Data, masks and test splits are looked for before anything is trained.
        RunError: in the end, when runs failed.
        Interrupted: stopped on request, with the state saved.
    """
    started, failed = time.monotonic(), 0
    done = {(record.row, record.seed): record for record in read_records(records)}
    for run in (run for run in runs if run.key in done):
        if fault := _mismatch(run, done[run.key], test=test):
            raise UsageError(f"'{records}' holds {run.row.label}, seed {run.seed}, {fault}")
    pending = [run for run in runs if run.key not in done]
    if test:
        _expect_test_splits(pending, data)
    marked = [run for run in runs if run.key not in done or done[run.key].fingerprint]
    try:
        now = _fingerprints(marked, data)
    except UsageError as error:
        if pending:
            raise
        console.print(f"Not compared with the data, which is not at hand: {error}", markup=False, highlight=False)
        now = {}
    for run in (run for run in runs if run.key in done.keys() & now.keys()):
        if done[run.key].fingerprint != now[run.key]:
            raise UsageError(
                f"'{records}' holds {run.row.label}, seed {run.seed}, by the same command, but recipe "
                f"'{run.recipe}' or the data has changed since. Give another folder with --out."
            )
    for run in pending:
        if time.monotonic() - started > 60 * minutes:
            break
        console.print(f"{run.row.label}, seed {run.seed}: {run.folder}", highlight=False)
        try:
            record = _train(run, data, now[run.key], test=test, console=console)
        except RunError as error:
            failed += 1
            console.print(f"{run.row.label}, seed {run.seed} failed: {error}", markup=False, highlight=False)
            continue
        append_record(records, record)
        yield record
    if failed:
        raise RunError(f"{failed} of {len(runs)} runs failed, see above; the others are in '{records}'.")


def _train(run: Run, data: Path | None, mark: str, *, test: bool, console: Console) -> Record:
    recover(run.folder / "state")
    resume = (run.folder / "state").is_dir()
    begun = run.folder / "fingerprint"
    if resume and begun.is_file() and begun.read_text(encoding="utf-8").strip() != mark:
        raise UsageError(
            f"'{run.folder}' was begun by the same command, but recipe '{run.recipe}' or the data has changed since. "
            "Delete that folder, or give another one with --out."
        )
    known = (begun.is_file() or (run.folder / "recipe.toml").is_file()) and not (run.folder / "adapter").exists()
    if not resume and known:
        shutil.rmtree(run.folder)  # killed before it saved anything
    recipe, folder = prepare_run(run.recipe, run.overrides, run.folder, resume=resume)
    if not resume:
        write_text(begun, mark + "\n")
    result = finetune(recipe, data=data, run=folder, resume=resume, console=console)
    if not isinstance(result, FinetuneResult):
        raise UsageError("'ablate' compares counters, trained in one process: no loss.density = 0, no launcher.")
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = next(line for line in log if line["epoch"] == result.epoch)
    tested = _count_test(result, recipe, data) if test else None
    return Record(
        row=run.row.label,
        seed=run.seed,
        command=run.command,
        machine=f"{platform.machine()}, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} CPU threads",
        epochs=log[-1]["epoch"],
        seconds=round(log[-1]["seconds"], 1),
        best_epoch=result.epoch,
        val_mae=best["val_mae"],
        val_rmse=best["val_rmse"],
        val_nae=best["val_nae"],
        val_mean_mae=result.mean_mae,
        trainable=result.trainable,
        total=result.total,
        test_mae=tested and tested.mae,
        test_rmse=tested and tested.rmse,
        test_nae=tested and tested.nae,
        version=__version__,
        fingerprint=mark if begun.is_file() else None,
    )


def _mismatch(run: Run, record: Record, *, test: bool) -> str:
    """Say why a record is not that of a run, or return ""."""
    if record.command != run.command:
        return f"of another training: {record.command}\nGive another folder with --out."
    if test and record.test_mae is None:
        return (
            f"trained without --test. Leave it out and count '{run.folder}' with 'sam-mprompt evaluate', or give "
            "another folder with --out."
        )
    return ""


def _fingerprints(runs: Sequence[Run], data: Path | None) -> dict[tuple[str, int], str]:
    """Return the fingerprint of every run by its key; reading what it needs refuses data and masks that are missing."""
    opened: dict[tuple[DataRecipe, TargetRecipe], tuple[Source, Source]] = {}
    found = {}
    for run in runs:
        recipe = load_recipe(run.recipe, run.overrides)
        # Annotation as it is on disk, without filling a cache.
        read = recipe.data.model_copy(update={"annotation_noise": 0.0, "cache": "none"})
        plain = recipe.model_copy(update={"data": read})
        if (key := (read, recipe.targets)) not in opened:
            root = data_root(plain, data)
            opened[key] = open_split(plain, "train", root).source, open_split(plain, "val", root).source
        found[run.key] = run_fingerprint(recipe, *opened[key])
    return found


def _expect_test_splits(runs: Sequence[Run], data: Path | None) -> None:
    """Refuse a test split that is not there or not annotated, before hours are spent on training for it."""
    for recipe in {(each := load_recipe(run.recipe, run.overrides)).data: each for run in runs}.values():
        if (root := data_root(recipe, data)) is None:
            raise UsageError("Procedural crowds have no test split: leave out --test.")
        if all(sample.points is None for sample in _test_samples(recipe, root)):
            raise UsageError(f"The test split of '{root}' has no annotations: leave out --test.")


def _test_samples(recipe: Recipe, root: Path) -> list[Sample]:
    return read_split(root, "test", format=recipe.data.format, fold=recipe.data.fold).samples


def _count_test(result: FinetuneResult, recipe: Recipe, data: Path | None) -> Metrics:
    """Return the metrics on the test split, which nothing before has looked at."""
    root = data_root(recipe, data)
    assert root is not None, "photographs, as _expect_test_splits saw"
    metrics = evaluate(load(result.adapter).count, _test_samples(recipe, root)).metrics
    assert metrics is not None, "an annotated test split, as _expect_test_splits saw"
    return metrics


def _slug(label: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in label).split())
