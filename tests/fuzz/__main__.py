"""`python -m tests.fuzz FAMILY... --inputs 1000 --seed 0`: run fuzzers, print a table, keep what is found."""

import argparse
import json
import sys
import time
from pathlib import Path

from .supervise import FAMILIES, Report, fuzz

_COLUMNS = ("family", "inputs", "read", "refused", "found", "most s", "most MB", "minutes")


def main() -> int:
    """Return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Run fuzzers.")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"by default all: {', '.join(FAMILIES)}")
    parser.add_argument("--inputs", type=int, default=1000, help="of each family (default 1000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run the input of this number alone")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="folder for what is found")
    parser.add_argument("--record", type=Path, help="file of JSON lines, to which a line a family is added")
    asked = parser.parse_args()
    if unknown := set(asked.families) - set(FAMILIES):
        parser.error(f"no family {', '.join(sorted(unknown))}: expected some of {', '.join(FAMILIES)}")
    numbers = range(asked.inputs) if asked.only is None else [asked.only]
    _row(_COLUMNS)
    found = 0
    for family in asked.families or FAMILIES:
        started = time.monotonic()
        report = fuzz(family, numbers, seed=asked.seed, keep=asked.keep)
        seconds = time.monotonic() - started
        _print(report, seconds)
        if asked.record is not None:
            _record(asked.record, report, asked.seed, seconds)
        found += len(report.found)
    return int(found > 0)


def _print(report: Report, seconds: float) -> None:
    outcomes = [report.outcomes[kind] for kind in ("read", "refused")]
    figures = (report.inputs, *outcomes, len(report.found), f"{report.slowest:.1f}", f"{report.largest / 1e6:.0f}")
    _row((report.family, *figures, f"{seconds / 60:.1f}"))
    for one in report.found:
        last = one.detail.strip().splitlines()[-1] if one.detail.strip() else ""
        sys.stdout.write(f"  {one.number} {one.kind}: {one.what!a:.300}\n    {last!a:.300}\n")
    sys.stdout.flush()


def _record(file: Path, report: Report, seed: int, seconds: float) -> None:
    row = {
        "family": report.family,
        "seed": seed,
        "inputs": report.inputs,
        **{kind: report.outcomes[kind] for kind in ("read", "refused")},
        "found": len(report.found),
        "slowest_seconds": round(report.slowest, 2),
        "largest_bytes": report.largest,
        "seconds": round(seconds),
    }
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(row) + "\n")


def _row(cells: tuple[object, ...]) -> None:
    sys.stdout.write("".join(f"{cell!s:<13}" for cell in cells).rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
