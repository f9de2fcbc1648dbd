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
_INTERVALS = """
For one experiment the last column does: 95 % of the differences in test MAE that come of drawing its pairs and, for all
of them alike, its images anew, with replacement. Records of before errors were kept image by image have none.
"""
_DRAWS = 10_000
_METRICS = {"val_mae": "validation MAE", "val_nae": "validation NAE", "test_mae": "test MAE"}


def pairs(records: Sequence[Record]) -> list[tuple[Record, Record]]:
    """All (with every prompt, regressor only) of one experiment whose settings differ in nothing else."""
    alone = {kept - _WITHOUT: record for record in records if (kept := _kept(record)) >= _WITHOUT}
    return [(record, alone[kept]) for record in records if (kept := _kept(record)) in alone]


def pair_table(experiments: Sequence[tuple[str, str, Sequence[Record]]]) -> str:
    """Markdown: a row for every experiment that has pairs, and one for all of a kind.

    Args:
        experiments: (title, kind of images, records) of each.
    """
    found = [(title, kind, pairs(records)) for title, kind, records in experiments]
    intervals = {title: _interval(of_one) for title, _, of_one in found}
    heads = ["", "pairs", *(head for name in _METRICS.values() for head in (name, "better in"))]
    lines = [[*_row(title, of_one), intervals[title]] for title, _, of_one in found if of_one]
    for kind in dict.fromkeys(kind for _, kind, of_one in found if of_one):
        everything = [pair for _, of_kind, of_one in found if of_kind == kind for pair in of_one]
        lines.append([*_row(f"**{kind}**", everything), ""])
    if not any(intervals.values()):
        return f"{_HEAD}\n{table(heads, [line[:-1] for line in lines])}\n"
    return f"{_HEAD}{_INTERVALS}\n{table([*heads, '95 % of test MAE'], lines)}\n"


def bootstrap(found: Sequence[tuple[Record, Record]], seed: int = 0) -> tuple[float, float] | None:
    """95 % of the relative differences in test MAE, in %, over pairs and images drawn anew; None without their errors.

    Images are the same for all pairs of a draw, as the pairs share them.
    """
    both = [(prompted.test_errors, alone.test_errors) for prompted, alone in found]
    kept = [np.abs([a, b]) for a, b in both if a is not None and b is not None]
    if not kept:
        return None
    errors = np.stack(kept)  # pairs, with and without prompts, images
    rng, (number, _, images) = np.random.default_rng(seed), errors.shape
    mae = errors[:, :, rng.integers(images, size=(_DRAWS, images))].mean(axis=3)
    differences = 100 * (mae[:, 0] / mae[:, 1] - 1)  # pairs, draws
    drawn = np.take_along_axis(differences, rng.integers(number, size=(number, _DRAWS)), axis=0)
    low, high = np.quantile(drawn.mean(axis=0), (0.025, 0.975))
    return float(low), float(high)


def _interval(found: Sequence[tuple[Record, Record]]) -> str:
    ends = bootstrap(found)
    return "" if ends is None else f"{ends[0]:+.1f} to {ends[1]:+.1f} %"


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
