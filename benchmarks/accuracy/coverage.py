"""Do error bars hold what they promise? Random halves of a split: one calibrates, the other is looked at.

    python -m benchmarks.accuracy.coverage --data DIR --adapter ADAPTER
    python -m benchmarks.accuracy.coverage --counts counts.jsonl

The split is counted once; then its images are divided 20 times at random into halves, exchangeable by construction. By
each level: the share of the other half's truths that lie within the error bars (mean, least and most of the divisions),
and how wide they are. Split conformal prediction promises the level on average over divisions, not for each: with n
images in a half one division spreads by about the root of 2 level (1 - level) / n.

`--keep FILE` writes the counts, `--counts FILE` reads them instead of counting; a run's held_out.jsonl will do.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.pages import parser, table
from sam_mprompt.counting.counter import load
from sam_mprompt.counting.intervals import Calibration, shown_level
from sam_mprompt.data.formats.read import read_split
from sam_mprompt.evaluation.coverage import coverage
from sam_mprompt.evaluation.evaluate import evaluate
from sam_mprompt.training.held_out import HeldOut, read_held_out, write_held_out

LEVELS, DIVISIONS = (0.8, 0.9, 0.95), 20


@dataclass(frozen=True)
class Covered:
    """What the error bars of one level hold, a value for each division: shares of the truths, and widths in heads."""

    level: float
    inside: NDArray[np.float64]
    width: NDArray[np.float64]

    def row(self) -> list[str]:
        """Return the cells of a table."""
        spread = f"{100 * self.inside.min():.1f} to {100 * self.inside.max():.1f} %"
        return [shown_level(self.level), f"{100 * self.inside.mean():.1f} %", spread, f"{self.width.mean():.1f}"]


def divided(rows: list[HeldOut], level: float, *, divisions: int = DIVISIONS, seed: int = 0) -> Covered:
    """Calibrate with a random half of the counts and look at the other half, so many times."""
    heads, counted = np.array([row.heads for row in rows]), np.array([row.counted for row in rows])
    found = []
    for draw in range(divisions):
        order = np.random.default_rng([seed, draw]).permutation(len(rows))
        known, others = np.array_split(order, 2)
        calibration = Calibration.fit(heads[known], counted[known])
        intervals = [(calibration.interval(counted[i], level), heads[i]) for i in others]
        held = coverage((interval, truth) for interval, truth in intervals if interval is not None)
        if held is not None:
            found.append((held.inside, held.width))
    inside, width = np.array(found).reshape(-1, 2).T
    return Covered(level, inside, width)


def counts_of(adapter: str, data: Path, split: str) -> list[HeldOut]:
    """Count an annotated split."""
    samples = read_split(data, "test" if split == "test" else "val").samples
    rows = evaluate(load(adapter).count, [sample for sample in samples if sample.points is not None]).rows
    return [HeldOut(str(row.image), 0, row.sample.count, row.predicted) for row in rows]


def main() -> None:
    """Print a Markdown table, a row for each level."""
    arguments = parser(__doc__)
    arguments.add_argument("--data", type=Path, help="the dataset's folder")
    arguments.add_argument("--adapter", help="folder or name")
    arguments.add_argument("--split", choices=("val", "test"), default="test")
    arguments.add_argument("--counts", type=Path, help="counts that were kept, or a run's held_out.jsonl")
    arguments.add_argument("--keep", type=Path, help="where to keep the counts")
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    if options.counts is None and (options.data is None or options.adapter is None):
        arguments.error("expected --data DIR and --adapter ADAPTER, or --counts FILE")
    rows = read_held_out(options.counts) if options.counts else counts_of(options.adapter, options.data, options.split)
    if options.keep:
        write_held_out(options.keep, rows)
    errors = np.array([row.counted - row.heads for row in rows])
    growth = Calibration.fit([row.heads for row in rows], [row.counted for row in rows]).growth
    print(f"{len(rows)} images, MAE {np.abs(errors).mean():.1f}, mean error {errors.mean():+.1f}, scale {growth}\n")
    covered = [divided(rows, level, seed=options.seed) for level in LEVELS]
    heads = ["level", "held, mean", "held, least to most", "width in heads"]
    print(table(heads, [own.row() for own in covered if len(own.inside)]))


if __name__ == "__main__":
    main()
