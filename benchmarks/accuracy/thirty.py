"""Thirty photographs: a planned training against `shb-scratch`, at equal minutes, on the same thirty images.

    python -m benchmarks.accuracy.thirty --data DIR                # every run that has no record yet, then the page
    python -m benchmarks.accuracy.thirty --data DIR --table        # the page alone

DIR holds `shanghaitech/part_B`, of whose training images thirty are taken, and `adipocyte` (layout `points`). Each of
three seeds is trained once by `shb-scratch`, its own settings but for as many epochs as fill the minutes, and once by
what `sam-mprompt plan` makes; the time of planning is in the minutes. A test split is counted once a run, afterwards. A
run that was cut is resumed. Records: benchmarks/records/thirty.jsonl; the page: benchmarks/thirty.md.
"""

import hashlib
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.pages import RECORDS, parser, table, write_page
from sam_mprompt.cli.training_display import TrainingDisplay
from sam_mprompt.counting.counter import load
from sam_mprompt.data.formats.read import read_split, recognise
from sam_mprompt.evaluation.evaluate import evaluate
from sam_mprompt.files import write_text
from sam_mprompt.planning.machine import this_machine
from sam_mprompt.planning.plan import plan
from sam_mprompt.planning.profile import profile_of
from sam_mprompt.planning.rules import TIME_SHARE, VALIDATIONS
from sam_mprompt.planning.timing import Timing, time_training
from sam_mprompt.recipe.schema import Recipe, load_recipe
from sam_mprompt.training.finetune import FinetuneResult, claimed_run, finetune
from sam_mprompt.training.observer import Observer
from sam_mprompt.training.run import RunFolder

RUNS, FILE = Path("runs") / "thirty", RECORDS / "thirty.jsonl"
IMAGES, SEEDS = 30, 3
WAYS = ("shb-scratch", "planned")
HEAD = """# Thirty photographs

Written by `python -m benchmarks.accuracy.thirty --data DIR` from `records/thirty.jsonl`; do not edit. The same thirty
images and the same minutes for both ways, on one thread of an x86_64 CPU: `shb-scratch` with as many epochs as fill
them, and what `sam-mprompt finetune --data DIR --minutes 20` plans by itself. The test split is counted once a run,
afterwards, and chooses nothing. `part_B` is the development test split that is carved from part B's official *train*
images, so these figures do not compare with published ones."""
RUNS_HEAD = """## Every run

Seconds are those of the training that the adapter comes from. Where no val split is given (`part_B`) a plan leaves room
in its minutes for the folds that tell its error, and `shb-scratch` has a tenth of the images carved off."""


@dataclass(frozen=True)
class Record:
    """One run; errors in heads per image, `told_mae` what the training itself says of unseen images."""

    data: str
    way: str
    seed: int
    minutes: float
    base: str
    epochs: int
    seconds: float
    told_mae: float
    test_mae: float
    test_rmse: float
    mean_mae: float

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes a run the same run."""
        return self.data, self.way, self.seed


def thirty_of(part: Path, to: Path) -> Path:
    """Make a ShanghaiTech part of links to thirty of another's training images and to its test split; return it."""
    images = part / "train_data" / "images"
    ranked = sorted(images.glob("*.jpg"), key=lambda path: hashlib.sha256(path.name.encode()).digest())
    truth = next(path for path in (part / "train_data").iterdir() if path.name.startswith("ground"))
    own = to / "train_data"
    for folder in (own / "images", own / truth.name):
        folder.mkdir(parents=True, exist_ok=True)
    links = [(path, own / "images" / path.name) for path in ranked[:IMAGES]]
    links += [(truth / f"GT_{path.stem}.mat", own / truth.name / f"GT_{path.stem}.mat") for path in ranked[:IMAGES]]
    for source, link in (*links, (part / "test_data", to / "test_data")):
        if not link.is_symlink():
            link.symlink_to(source.resolve())
    return to


def filling(recipe: Recipe, images: int, val_images: int, minutes: float, timing: Timing) -> list[str]:
    """Return the `KEY=VALUE` that make a recipe fill the minutes, and what follows its epochs in its own shares."""
    train = recipe.train
    carved = 0 if val_images else max(1, round(recipe.data.val_fraction * images))
    counted = timing.image * VALIDATIONS * (val_images or carved)
    seconds = TIME_SHARE * 60 * minutes - timing.preparation - counted
    epochs = max(1, int(seconds / (math.ceil((images - carved) / train.batch_size) * timing.step)))
    kappa = round(epochs * recipe.loss.kappa / train.epochs)
    return [
        f"train.epochs={epochs}",
        f"loss.kappa={kappa}",
        f"train.validate_every={max(1, math.ceil(epochs / VALIDATIONS))}",
        "train.preview_every=0",
    ]


def recipe_for(way: str, root: Path, seed: int, minutes: float, observer: Observer) -> Recipe:
    """Plan, or time `shb-scratch` and set its epochs."""
    seeded, began = f"train.seed={seed}", time.monotonic()

    def timer(recipe: Recipe, folder: Path) -> Timing:
        timing = time_training(recipe, folder, observer)
        return Timing(timing.step, timing.image, time.monotonic() - began)

    if way == "planned":
        return plan(root, minutes=minutes, machine=this_machine(), timer=timer, overrides=[seeded]).recipe
    given = [f"data.format={recognise(root)}", seeded]
    recipe = load_recipe(way, given)
    seen, timing = profile_of(root), timer(recipe, root)
    return load_recipe(way, [*given, *filling(recipe, seen.images, seen.val_images, minutes, timing)])


def run(name: str, root: Path, way: str, seed: int, minutes: float, observer: Observer) -> Record:
    """Train once, going on where it was cut, and count the test split."""
    folder = RunFolder(RUNS / f"{name}-{way}-{seed}")
    folder.recover()
    resume = folder.has_state
    named = Recipe() if resume else recipe_for(way, root, seed, minutes, observer)
    with claimed_run(named, (), folder.path, resume=resume) as (recipe, claimed):
        result = finetune(recipe, data=root, run=claimed, resume=resume, observer=observer)
    assert isinstance(result, FinetuneResult)
    samples = read_split(root, "test", format=recipe.data.format).samples
    tested = evaluate(load(result.adapter).count, samples).metrics
    assert tested is not None
    heads = [s.count for s in read_split(root, "train", format=recipe.data.format, val_fraction=0.0).samples]
    mean = float(np.mean([abs(sample.count - np.mean(heads)) for sample in samples]))
    took, epochs = round(result.seconds, 1), result.epochs
    figures = (result.val_mae, tested.mae, tested.rmse, mean)
    return Record(name, way, seed, minutes, recipe.model.base, epochs, took, *figures)


def read_records(file: Path) -> list[Record]:
    """Return the records of a file, none where there is none."""
    return [Record(**json.loads(line)) for line in file.read_text().splitlines()] if file.is_file() else []


def summary(records: list[Record]) -> str:
    """Return a Markdown table: a row for every dataset and way."""
    rows = []
    for name in dict.fromkeys(record.data for record in records):
        by_way = {way: [r for r in records if (r.data, r.way) == (name, way)] for way in WAYS}
        scratch = [record.test_mae for record in by_way[WAYS[0]]]
        for way, own in by_way.items():
            if own:
                errors = [record.test_mae for record in own]
                against = f"{100 * (np.mean(errors) / np.mean(scratch) - 1):+.1f} %" if scratch else ""
                spread = f"{np.mean(errors):.2f} ({min(errors):.2f} to {max(errors):.2f})"
                told = f"{np.mean([record.told_mae for record in own]):.2f}"
                rows.append([name, way, own[0].base, str(len(own)), spread, against, f"{own[0].mean_mae:.2f}", told])
    heads = ["data", "way", "base", "seeds", "test MAE", "against shb-scratch", "predicting the mean", "MAE it tells"]
    return table(heads, rows)


def every_run(records: list[Record]) -> str:
    """Return a Markdown table: a row for every run."""
    rows = [
        [
            record.data,
            record.way,
            str(record.seed),
            str(record.epochs),
            f"{record.seconds:.0f}",
            f"{record.test_mae:.2f}",
            f"{record.test_rmse:.2f}",
            f"{record.told_mae:.2f}",
        ]
        for record in sorted(records, key=lambda record: record.key)
    ]
    return table(["data", "way", "seed", "epochs", "seconds", "test MAE", "test RMSE", "MAE it tells"], rows)


def write(records: list[Record]) -> None:
    """Write the page."""
    write_page("thirty", HEAD, summary(records), RUNS_HEAD, every_run(records))


def main() -> None:
    """Run what has no record, then tabulate."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, required=True, help="folder of the datasets")
    arguments.add_argument("--minutes", type=float, default=20.0)
    arguments.add_argument("--seeds", type=int, default=SEEDS)
    arguments.add_argument("--table", action="store_true", help="tabulate what there is")
    options = arguments.parse_args()
    roots = {"adipocyte": options.data / "adipocyte"}
    if not options.table:
        roots["part_B"] = thirty_of(options.data / "shanghaitech" / "part_B", RUNS / "part_B")
    records = read_records(FILE)
    todo = [(seed, name, way) for seed in range(options.seeds) for name in roots for way in WAYS]
    for seed, name, way in [] if options.table else todo:
        if (name, way, seed) not in {record.key for record in records}:
            with TrainingDisplay(Console(stderr=True)) as display:
                records.append(run(name, roots[name], way, seed, options.minutes, display))
            write_text(FILE, "".join(json.dumps(asdict(record)) + "\n" for record in records))
    write(records)
    print(summary(records))


if __name__ == "__main__":
    main()
