"""Accuracy: train what benchmarks/accuracy.toml names, keep a line per run, and write benchmarks/accuracy.md from them.

    python -m benchmarks.accuracy run --data DIR                  # whatever is not done yet; goes on where it stopped
    python -m benchmarks.accuracy run bases-crowd --minutes 60    # one experiment, as many runs as start within an hour
    python -m benchmarks.accuracy table --data DIR                # accuracy.md, from accuracy.jsonl

DIR holds the datasets under the names that the experiments give (`shanghaitech/part_B`); experiments on procedural
crowds need none. Each run is `sam-mprompt finetune` with a committed recipe, in a process of its own; the best epoch is
chosen on validation, and a test split is counted once, afterwards.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.accuracy_table import write_table

HERE = Path(__file__).parent
RUNS = Path("runs") / "accuracy"


@dataclass(frozen=True)
class Experiment:
    """One comparison: a recipe, and rows that differ from it by `--set`.

    Attributes:
        name, title, note: as the table shows them.
        recipe: a committed recipe.
        data: dataset folder below DIR, or "" for procedural crowds.
        test: count the test split after training.
        settings: overrides of every row.
        rows: label, overrides `set` and `seeds` of each row, in the table's order; for a plot also `line` and `x`.
        plot: a picture to draw, or "" for none.
    """

    name: str
    title: str
    recipe: str
    data: str = ""
    test: bool = False
    note: str = ""
    settings: tuple[str, ...] = ()
    rows: Sequence[dict[str, Any]] = ()
    plot: str = ""


@dataclass(frozen=True)
class Run:
    """One training of an experiment's row."""

    experiment: Experiment
    row: str
    settings: tuple[str, ...]
    seed: int

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes a run the same run."""
        return self.experiment.name, self.row, self.seed

    @property
    def folder(self) -> Path:
        """Its run folder."""
        slug = "-".join("".join(c if c.isalnum() else " " for c in self.row).split())
        return RUNS / self.experiment.name / f"{slug}-{self.seed}"

    def arguments(self, data: Path | None) -> list[str]:
        """Arguments of `sam-mprompt` for the training."""
        sets = [*self.experiment.settings, *self.settings, f"train.seed={self.seed}"]
        place = ["--data", str(data / self.experiment.data)] if self.experiment.data and data else []
        flags = [part for text in sets for part in ("--set", text.replace("{seed}", str(self.seed)))]
        resume = ["--resume"] if (self.folder / "state").is_dir() else []
        return ["finetune", "--recipe", self.experiment.recipe, *place, "--out", str(self.folder), *flags, *resume]


def experiments() -> list[Experiment]:
    """Read benchmarks/accuracy.toml."""
    tables = tomllib.loads((HERE / "accuracy.toml").read_text(encoding="utf-8"))
    rows = tables.pop("rows")
    return [
        Experiment(name, **{**table, "rows": rows[table["rows"]], "settings": tuple(table.get("settings", ()))})
        for name, table in tables.items()
    ]


def runs(experiment: Experiment) -> Iterator[Run]:
    """All runs, the first seed of every row before the second of any."""
    listed = [
        Run(experiment, row["label"], tuple(row.get("set", ())), seed)
        for row in experiment.rows
        for seed in row["seeds"]
    ]
    return iter(sorted(listed, key=lambda run: run.seed))


def read_records() -> list[dict[str, Any]]:
    """Return the lines of accuracy.jsonl."""
    path = HERE / "accuracy.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def perform(run: Run, data: Path | None) -> dict[str, Any]:
    """Train, count the test split where the experiment has one, and return the run's record."""
    arguments = run.arguments(data)
    outcome = json.loads(_sam_mprompt(*arguments, "--json"))
    log = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    best = next(line for line in log if line["epoch"] == outcome["epoch"])
    record: dict[str, Any] = {
        "experiment": run.experiment.name,
        "row": run.row,
        "seed": run.seed,
        "command": " ".join(["sam-mprompt", *_portable(arguments, data)]),
        "machine": f"{platform.machine()} CPU, {os.environ.get('OMP_NUM_THREADS', os.cpu_count())} threads",
        "epochs": log[-1]["epoch"],
        "seconds": round(log[-1]["seconds"], 1),
        "best_epoch": outcome["epoch"],
        "val_mae": best["val_mae"],
        "val_rmse": best["val_rmse"],
        "val_mean_mae": outcome["mean_mae"],
        "trainable": outcome["trainable"],
        "total": outcome["total"],
    }
    if run.experiment.test and data is not None:
        report = run.folder / "test.json"
        _sam_mprompt("evaluate", str(run.folder), "--data", str(data / run.experiment.data), "--json", str(report))
        metrics = json.loads(report.read_text(encoding="utf-8"))["metrics"]
        record |= {"test_mae": metrics["mae"], "test_rmse": metrics["rmse"]}
    return record


def _sam_mprompt(*arguments: str) -> str:
    command = [sys.executable, "-m", "sam_mprompt", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _portable(arguments: list[str], data: Path | None) -> list[str]:
    """Arguments without this machine's folder of datasets."""
    root = "" if data is None else str(data)
    return [f"DIR{text.removeprefix(root)}" if root and text.startswith(root) else text for text in arguments]


def main() -> None:
    """Run or tabulate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("run", "table"))
    parser.add_argument("experiments", nargs="*", help="names in accuracy.toml; all when none is given")
    parser.add_argument("--data", type=Path, help="folder of the datasets")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no run after this time")
    options = parser.parse_args()
    known = {experiment.name: experiment for experiment in experiments()}
    if unknown := set(options.experiments) - known.keys():
        parser.error(f"no experiment {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    chosen = [known[name] for name in options.experiments or known]
    if options.action == "table":
        write_table(HERE, [asdict(experiment) for experiment in known.values()], read_records(), options.data)
        return
    started, done = time.monotonic(), {(line["experiment"], line["row"], line["seed"]) for line in read_records()}
    for run in (run for experiment in chosen for run in runs(experiment) if run.key not in done):
        if run.experiment.data and options.data is None:
            parser.error(f"{run.experiment.name} needs --data DIR with {run.experiment.data} in it")
        if time.monotonic() - started > 60 * options.minutes:
            break
        record = perform(run, options.data)
        with (HERE / "accuracy.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")
        print(*run.key, *(f"{key} {record[key]:.2f}" for key in ("val_mae", "test_mae") if key in record), flush=True)


if __name__ == "__main__":
    main()
