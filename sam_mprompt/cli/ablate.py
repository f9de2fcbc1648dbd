"""The command `ablate`: train what is not done yet, and keep the report of all that is."""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import typer
from rich.console import Console

from ..ablation.perform import Run, load_ablation, perform, plan
from ..ablation.records import Record, read_records
from ..ablation.report import plot, write_tables
from ..errors import Interrupted


def ablate(
    rows: str,
    recipe: str,
    *,
    data: Path | None,
    seeds: int,
    settings: Sequence[str],
    out: Path | None,
    test: bool,
    minutes: float,
    as_json: bool,
) -> None:
    """Train the runs of an ablation that its folder has no record of; the report grows with every run.

    Raises:
        UsageError: no such rows or recipe, a faulty setting, data or base that cannot be had.
        RunError: in the end, when runs failed.
        Interrupted: stopped on request; the same command goes on.
    """
    ablation = load_ablation(rows)
    folder = out or Path("runs") / "ablate" / f"{ablation.name}-{Path(recipe).stem}"
    runs = plan(ablation, recipe, seeds={row.label: seeds for row in ablation.rows}, settings=settings, out=folder)
    messages, records = Console(stderr=True), folder / "records.jsonl"
    drawn = find_spec("matplotlib") is not None
    try:
        for _ in perform(runs, records, data=data, test=test, console=messages, minutes=minutes):
            write_tables(folder, ablation, read_records(records), recipe)
    except KeyboardInterrupt as error:
        done = _done(runs, read_records(records))
        raise Interrupted(f"stopped; {done} of {len(runs)} runs are done, the same command goes on.") from error
    found = read_records(records)
    table = write_tables(folder, ablation, found, recipe)
    if found and drawn:
        plot(ablation, found, folder / "plot.png")
    typer.echo(json.dumps([record.model_dump() for record in found], indent=2) if as_json else table)
    messages.print(f"{_done(runs, found)} of {len(runs)} runs are done: {folder}", highlight=False, soft_wrap=True)
    if not drawn:
        messages.print("No plot was drawn: pip install 'sam-mprompt[plots]'.", markup=False, highlight=False)


def _done(runs: Sequence[Run], records: Sequence[Record]) -> int:
    """How many of the runs have a record; the folder may hold those of more seeds."""
    return len({run.key for run in runs} & {(record.row, record.seed) for record in records})
