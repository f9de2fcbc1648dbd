"""benchmarks/speed.md: a record for each measurement, and the page that all of them make."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.pages import PAGES, table
from benchmarks.speed.pairs import Result, Spread, this_machine

_HEAD = """# Speed

Written by the measurements themselves (the command of each row) from `records/speed/*.json`; do not edit. A ratio is
the median over rounds that alternate between the two (A B A B), with the lowest and highest round behind it; above 1
is in our favour. Absolute times mean little on a shared machine and are not given. "Of the limit" is our rate of
multiply-adds against what float32 matrix products reach in the same run, where counting them makes sense.
"""
COLUMNS = ("what", "against", "ratio", "aim", "of the limit", "command")


def show(results: Sequence[Result]) -> None:
    """Print results, a line each."""
    for result in results:
        print(f"{result.what} | {result.against} | {result.ratio}", flush=True)


def record_of(name: str, pages: Path = PAGES) -> Path:
    """Return where the results of a measurement are kept."""
    return pages / "records" / "speed" / f"{name}.json"


def write_row(name: str, results: Sequence[Result], *, machine: str | None = None, pages: Path = PAGES) -> None:
    """Keep what the measurement `benchmarks.speed.NAME` found, and write the page anew from those of all.

    Args:
        name: the module's.
        results: its rows, which are printed too.
        machine: what it ran on, or None for this CPU.
        pages: the folder of speed.md and records.
    """
    record = {"machine": machine or this_machine(), "results": [asdict(result) for result in results]}
    path = record_of(name, pages)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    show(results)
    write_table(pages)


def read_row(path: Path) -> list[Result]:
    """Return the results of a file that `write_row` wrote, none when there is no file."""
    found = json.loads(path.read_text(encoding="utf-8"))["results"] if path.is_file() else []
    return [Result(**{**values, "ratio": Spread(**values["ratio"])}) for values in found]


def write_table(pages: Path = PAGES) -> None:
    """Write `pages/speed.md` from the records of all measurements."""
    rows, notes, found = [], [], dict[str, list[Result]]()
    for path in sorted(record_of("*", pages).parent.glob("*.json")):
        machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
        found[path.stem] = read_row(path)
        for result in found[path.stem]:
            rows.append([*cells(result), f"`python -m benchmarks.speed.{path.stem}`"])
            notes += [f"- {result.what}: {result.note}"] if result.note else []
        notes.append(f"- `{path.stem}` was measured on {machine}.")
    parts = [_HEAD, *_glance(found), "## Every row\n", table(COLUMNS, rows), "", "## Notes\n", *notes, ""]
    (pages / "speed.md").write_text("\n".join(parts), encoding="utf-8")


def _glance(found: Mapping[str, Sequence[Result]]) -> list[str]:
    """Return the best row of each measurement, best first, and the aims that were missed, worst first."""
    best = sorted((max(rows, key=_median) for rows in found.values() if rows), key=_median, reverse=True)
    missed = sorted((row for rows in found.values() for row in rows if _missed(row)), key=_share_of_aim)
    shown = [table(COLUMNS[:3], [cells(row)[:3] for row in best]), ""]
    return [
        "## The best row of each measurement\n",
        *shown,
        *(["## Aims that were missed\n", table(COLUMNS[:4], [cells(row)[:4] for row in missed]), ""] if missed else []),
    ]


def _median(result: Result) -> float:
    return result.ratio.median


def _missed(result: Result) -> bool:
    return result.aim is not None and result.ratio.median < result.aim


def _share_of_aim(result: Result) -> float:
    assert result.aim is not None
    return result.ratio.median / result.aim


def cells(result: Result) -> list[str]:
    """Return a result's columns, all but the command."""
    aim = "" if result.aim is None else f"{result.aim:.2g}" + (" (missed)" if _missed(result) else "")
    limit = "" if result.limit is None else f"{100 * result.limit:.0f} %"
    return [result.what, result.against, str(result.ratio), aim, limit]
