"""What mutual prompts are worth, from all pairs of runs that differ in nothing but them."""

from collections.abc import Sequence

import numpy as np

from benchmarks.pages import table
from sam_mprompt.ablation.records import Record

_WITHOUT = frozenset({"loss.segmentation=0.0", "loss.context=0.0"})
_OF_PROMPTS = ("model.gate=", "loss.threshold=", "loss.context_by=")
"""Further settings that only prompts have: what gates the regressor is a segmenter."""

_HEAD = """## All mutual prompts against none, pair by pair

Every pair of runs below that differ in nothing but mutual prompts, their gate, threshold and context, of equal epochs
and seed. A difference is that of the error with all prompts and the error of the regressor only, in % of the latter;
negative is better; `±` is the standard error of the mean over seeds. NAE is the mean of an image's error in
shares of its heads, which sparse scenes decide as dense ones do MAE. The last rows have one difference for each seed of
an experiment, the mean of its pairs, as these share scenes or runs. The pairs of a dataset share its images, and those
of an experiment most of its settings: the counts say how often prompts paid here, not how surely they do.
"""
_INTERVALS = """
The last column says it of one row: 95 % of the differences in test MAE that come of drawing its pairs and, for all of
them alike, its images anew, with replacement. Records of before errors were kept image by image have none.
"""
Pair = tuple[Record, Record]
_DRAWS = 10_000
_METRICS = {"val_mae": "validation MAE", "val_nae": "validation NAE", "test_mae": "test MAE"}


def pairs(records: Sequence[Record]) -> list[Pair]:
    """All (with every prompt, regressor only) of one experiment whose settings differ in nothing else."""
    alone = {kept - _WITHOUT: record for record in records if (kept := _kept(record)) >= _WITHOUT}
    return [(record, alone[kept]) for record in records if (kept := _kept(record)) in alone]


def by_seed(found: Sequence[Pair]) -> list[list[Pair]]:
    """The pairs of one experiment, those of a seed together."""
    return [[pair for pair in found if pair[0].seed == seed] for seed in dict.fromkeys(p.seed for p, _ in found)]


def differences(units: Sequence[Sequence[Pair]], metric: str) -> list[float]:
    """Return what prompts change a metric by in % of the regressor only, the mean of each unit's pairs that have it."""
    both = [[(getattr(prompted, metric), getattr(alone, metric)) for prompted, alone in unit] for unit in units]
    known = [[100 * (a / b - 1) for a, b in unit if a is not None and b is not None] for unit in both]
    return [float(np.mean(found)) for found in known if found]


def pair_table(experiments: Sequence[tuple[str, str, Sequence[Record]]]) -> str:
    """Markdown: a row for every row of an experiment that has pairs, and one for all of a kind.

    Args:
        experiments: (title, kind of images, records) of each.
    """
    found = [(title, kind, pairs(records)) for title, kind, records in experiments]
    intervals = any(bootstrap(of_one) for _, _, of_one in found)
    heads = ["", "pairs", *(head for name in _METRICS.values() for head in (name, "better in"))]
    lines = []
    for title, _, of_one in found:
        labels = sorted({prompted.row for prompted, _ in of_one})
        for label in labels:
            of_row = [pair for pair in of_one if pair[0].row == label]
            name = title if len(labels) == 1 else f"{title}: {label}"
            lines.append(_row(name, by_seed(of_row)) + [_interval(of_row)] * intervals)
    for kind in dict.fromkeys(kind for _, kind, of_one in found if of_one):
        everything = [unit for _, of_kind, of_one in found if of_kind == kind for unit in by_seed(of_one)]
        lines.append(_row(f"**{kind}**", everything, spread=False) + [""] * intervals)
    if not intervals:
        return f"{_HEAD}\n{table(heads, lines)}\n"
    return f"{_HEAD}{_INTERVALS}\n{table([*heads, '95 % of test MAE'], lines)}\n"


def bootstrap(found: Sequence[Pair], seed: int = 0) -> tuple[float, float] | None:
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


def _interval(found: Sequence[Pair]) -> str:
    ends = bootstrap(found)
    return "" if ends is None else f"{ends[0]:+.1f} to {ends[1]:+.1f} %"


def _kept(record: Record) -> frozenset[str]:
    """What was trained, whatever the order in which it was set, but for what only prompts have."""
    return frozenset((record.recipe, *(text for text in record.settings if not text.startswith(_OF_PROMPTS))))


def _row(title: str, units: Sequence[Sequence[Pair]], *, spread: bool = True) -> list[str]:
    cells = [cell for metric in _METRICS for cell in _cells(differences(units, metric), spread)]
    return [title, str(len(units)), *cells]


def _cells(differences: Sequence[float], spread: bool) -> tuple[str, str]:
    """The mean, with its standard error where that is of seeds (`spread`), and how many are below zero."""
    if not differences:
        return "", ""
    many = spread and len(differences) > 1
    error = f" ± {np.std(differences, ddof=1) / len(differences) ** 0.5:.1f}" if many else ""
    return f"{np.mean(differences):+.1f} %{error}", f"{sum(d < 0 for d in differences)} of {len(differences)}"
