"""What mutual prompts are worth, from all pairs of runs that differ in nothing but them."""

from collections.abc import Sequence

import numpy as np

from benchmarks.pages import table
from sam_mprompt.ablation.records import Record

_WITHOUT = frozenset({"loss.segmentation=0.0", "loss.context=0.0"})

_HEAD = """## All mutual prompts against none, pair by pair

Every pair of runs below that differ in nothing but mutual prompts, of equal epochs and of the same seed. A difference
is that of the error with all prompts and the error of the regressor only, in % of the latter; negative is better; `±`
is the standard error of the mean over pairs, where each has a seed of its own. NAE is the mean of an image's error in
shares of its heads, which sparse scenes decide as dense ones do MAE. The pairs of a dataset share its images, and
those of an experiment most of its settings: the counts say how often prompts paid here, not how surely they do.
"""
_METRICS = {"val_mae": "validation MAE", "val_nae": "validation NAE", "test_mae": "test MAE"}


def pairs(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """All (with every prompt, regressor only) of one experiment whose settings differ in nothing else."""
    alone = {kept - _WITHOUT: record for record in records if (kept := _kept(record)) >= _WITHOUT}
    return [(record, alone[kept]) for record in records if (kept := _kept(record)) in alone]


def pair_table(experiments: Sequence[tuple[str, Sequence[Record]]]) -> str:
    """Markdown: a row for every experiment, of (title, records), that has pairs, and one for all of them."""
    found = [(title, pairs(records)) for title, records in experiments]
    everything = [pair for _, of_one in found for pair in of_one]
    rows = [(title, of_one) for title, of_one in found if of_one] + [("**all**", everything)]
    heads = ["", "pairs", *(head for name in _METRICS.values() for head in (name, "better in"))]
    return f"{_HEAD}\n{table(heads, [_row(title, of_one) for title, of_one in rows])}\n"


def _kept(record: Record) -> frozenset[str]:
    """What was trained, whatever the order in which it was set."""
    return frozenset((record.recipe, *record.settings))


def _row(title: str, found: Sequence[tuple[Record, Record]]) -> list[str]:
    apart = len({prompted.seed for prompted, _ in found}) == len(found)
    return [
        title,
        str(len(found)),
        *(cell for metric in _METRICS for cell in _cells(_differences(found, metric), apart)),
    ]


def _differences(found: Sequence[tuple[Record, Record]], metric: str) -> list[float]:
    """In % of the regressor only, of the pairs that have the metric."""
    both = [(getattr(prompted, metric), getattr(alone, metric)) for prompted, alone in found]
    return [100 * (a / b - 1) for a, b in both if a is not None and b is not None]


def _cells(differences: Sequence[float], apart: bool) -> tuple[str, str]:
    """The mean, with its standard error if all are of different seeds (`apart`), and how many are below zero."""
    if not differences:
        return "", ""
    error = f" ± {np.std(differences, ddof=1) / len(differences) ** 0.5:.1f}" if apart and len(differences) > 1 else ""
    return f"{np.mean(differences):+.1f} %{error}", f"{sum(d < 0 for d in differences)} of {len(differences)}"
