"""benchmarks/accuracy.md and its plots, from the records of every experiment."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.accuracy.experiments import Experiment
from benchmarks.accuracy.pairs import pair_table
from benchmarks.pages import PAGES
from sam_mprompt.ablation.records import Record, read_records
from sam_mprompt.ablation.report import markdown, plot
from sam_mprompt.ablation.variants import dataset_of
from sam_mprompt.data.formats.annotation import SplitName
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.evaluation.metrics import metrics

_HEAD = """# Accuracy

Written by `python -m benchmarks.accuracy table --data DIR` from `records/accuracy/*.jsonl`, one line per run; do not
edit. Every figure in a table is ours, measured on a machine of two x86 CPU cores without a GPU, by the recipe, the
settings and the number of threads that its line gives (two runs of one thread each share the machine). The paper's
figures are marked as such; they are HRNet-W40's on official test images, so that only their order compares.
MAE and RMSE are heads per image, NAE is in shares of an image's heads. Older records did not keep NAE; where the logs
of those runs were still at hand, it was read off them, to four digits. From the second table on, `±` is the standard
deviation over seeds, and every seed's figure stands behind it.
The text before a table says how it was made and what to keep in mind; figures stand in tables alone.
Epochs are chosen on validation; the development "test" splits of ShanghaiTech (carved from its official *train* images,
so not comparable with published figures) are counted once per run, after training.
"""


def write_table(page: Path, experiments: Sequence[Experiment], data: Path | None) -> None:
    """Write the page and the plots. `data`, where given, adds what predicting the mean of train gives on test."""
    kinds = [(each.title, "photographs" if each.data else "procedural crowds") for each in experiments]
    records_of = [read_records(experiment.records) for experiment in experiments]
    parts = [_HEAD, pair_table([(*kind, records) for kind, records in zip(kinds, records_of, strict=True)])]
    for experiment, records in zip(experiments, records_of, strict=True):
        if not records:
            continue
        naive = _predicting_the_mean(data / experiment.data) if experiment.test and data is not None else None
        parts += [f"## {experiment.title}", "", experiment.note.strip(), ""]
        parts += [f"Recipe `{experiment.recipe}`. First command: `{_command(experiment, records[0])}`", ""]
        parts.append(markdown(experiment.ablation, records, dataset_of(experiment.recipe), naive))
        if experiment.plot:
            plot(experiment.ablation, records, PAGES.parent / experiment.plot)
            parts.append(f"![{experiment.title}](../{experiment.plot})\n")
    page.write_text("\n".join(parts), encoding="utf-8")


def _command(experiment: Experiment, record: Record) -> str:
    """Return a run's training as one would type it."""
    run = next(run for run in experiment.runs() if run.key == (record.row, record.seed))
    place = ["--data", "DIR"] if experiment.data else []
    settings = [word for setting in record.settings for word in ("--set", setting)]
    words = ["--recipe", record.recipe, *place, "--out", run.folder.path.as_posix(), *settings]
    return shlex.join(["sam-mprompt", "finetune", *words])


def _predicting_the_mean(folder: Path) -> tuple[float, float]:
    """MAE and RMSE on test of the mean count of all annotated train images."""
    train, test = _counts(folder, "train", "val"), _counts(folder, "test")
    result = metrics([float(np.mean(train))] * len(test), test)
    return result.mae, result.rmse


def _counts(folder: Path, *splits: SplitName) -> list[int]:
    return [s.count for split in splits for s in read_split(folder, split).samples if s.points is not None]
