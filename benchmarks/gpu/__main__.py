"""The accelerator, row by row: python -m benchmarks.gpu

    python -m benchmarks.gpu --data DIR          # on a machine with a GPU; about ten minutes
    python -m benchmarks.gpu --miniature         # a tiny encoder on the CPU: shows that it runs, measures nothing
    python -m benchmarks.gpu --table             # write the page from the records that there are

Each part is kept as soon as it is done, in benchmarks/records/gpu, and is not measured again (`--again` does): a run
that was cut goes on. DIR is a dataset folder of the recipe `shb`; without it, procedural scenes are trained on.
"""

import json
import os
import platform
import time
import traceback
from dataclasses import asdict
from pathlib import Path

import torch

from benchmarks.gpu import attention, counting, encoder, training
from benchmarks.gpu.setting import Setting, Step, gpu, miniature
from benchmarks.pages import RECORDS, parser, table, write_page
from benchmarks.speed.pairs import Result, Spread
from benchmarks.speed.table import COLUMNS, cells, show

FOLDER = RECORDS / "gpu"
_HEAD = """# The accelerator

Written by `python -m benchmarks.gpu` from `records/gpu/*.json`; do not edit. A ratio is the median over rounds that
alternate between the two (A B A B), with the lowest and highest round behind it; above 1 is in our favour. "Of the
limit" is our rate of multiply-adds against what products of two 8192 x 8192 matrices reach on the same card in the
same precision; multiply-adds are counted as SAM's own encoder needs them. Weights are random but for the demo's."""


def parts(setting: Setting, data: Path | None) -> dict[str, Step]:
    """Return all measurements by name, in the order in which they are made."""
    return (
        counting.parts(setting, data)
        | training.parts(setting, data)
        | attention.parts(setting)
        | encoder.parts(setting)
    )


def measure(setting: Setting, data: Path | None, *, again: bool = False, only: str = "") -> list[str]:
    """Measure what has no record yet; return the parts that failed."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    machine = (
        f"{setting.name}, torch {torch.__version__}, Python {platform.python_version()}, {os.cpu_count()} CPU cores"
    )
    failed = []
    for name, part in parts(setting, data).items():
        record = FOLDER / f"{name}.json"
        if not name.startswith(tuple(only.split(","))) or (record.is_file() and not again):
            continue
        began = time.perf_counter()
        try:
            results = part()
        except Exception:  # one part that fails must not cost the others their time on the card
            traceback.print_exc()
            failed.append(name)
            setting.clear()
            continue
        assert isinstance(results, list)
        record.write_text(
            json.dumps({"machine": machine, "results": [asdict(row) for row in results]}, indent=1) + "\n"
        )
        show(results)
        print(f"-- {name}: {time.perf_counter() - began:.0f} s", flush=True)
    return failed


def write() -> None:
    """Write gpu.md from the records."""
    rows, machines = [], set()
    for path in sorted(FOLDER.glob("*.json")):
        record = json.loads(path.read_text())
        machines.add(record["machine"])
        results = [Result(**{**values, "ratio": Spread(**values["ratio"])}) for values in record["results"]]
        rows += [[*cells(result), result.note] for result in results]
    measured = "\n".join(f"Measured on {machine}." for machine in sorted(machines))
    write_page("gpu", _HEAD, measured, table((*COLUMNS[:-1], "ours, and notes"), rows))


def main() -> None:
    """Measure, and keep the rows where there is a GPU."""
    arguments = parser(__doc__)
    arguments.add_argument("--miniature", action="store_true", help="run everything once on the CPU, and keep nothing")
    arguments.add_argument("--data", type=Path, help="dataset folder for the recipe shb")
    arguments.add_argument("--again", action="store_true", help="measure what has a record too")
    arguments.add_argument("--only", default="", help="names of parts, or how they begin, with commas between")
    arguments.add_argument("--table", action="store_true", help="write the page from the records that there are")
    options = arguments.parse_args()
    if options.table:
        write()
        return
    if options.miniature:
        for part in parts(miniature(), options.data).values():
            results = part()
            assert isinstance(results, list)
            show(results)
        return
    if not torch.cuda.is_available():
        arguments.error(
            "no GPU found (torch.cuda.is_available() is false). --miniature goes through the script without one."
        )
    failed = measure(gpu(torch.device("cuda")), options.data, again=options.again, only=options.only)
    write()
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}.")


if __name__ == "__main__":
    main()
