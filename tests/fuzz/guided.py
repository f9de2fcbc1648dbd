"""`python -m tests.fuzz.guided [PARSER...] --seconds 600`: fuzz parsers by the code that inputs reach, by atheris."""

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from .parser import CORPUS
from .parsers import parsers
from .supervise import MOST_SECONDS, environment

_COLUMNS = ("parser", "executions", "edges", "seconds", "found")
_LONGEST_INPUT = 1 << 14
_STARTS = 5
"""An input that hangs or ends its process ends libFuzzer with it, which is started again so often at most."""

_START_SECONDS = 300.0
_MEMORY = Path("/dev/shm")
_WHY = ".why"
"""Suffix of what is told of a finding, beside it."""

_MOST_TOLD = 4000


@dataclass
class Report:
    """What came of a parser.

    Attributes:
        executions: inputs that were met.
        edges: places of the package's code that they reached, as libFuzzer counts them.
        found: files of what is neither read nor refused in a line.
    """

    executions: int = 0
    edges: int = 0
    found: list[Path] = field(default_factory=list)


def fuzz(name: str, seconds: float, *, keep: Path, corpus: Path | None = None, seed: int = 0) -> Report:
    """Fuzz one parser.

    Args:
        name: of `parsers`.
        seconds: for how long, beside the start of the process.
        keep: folder for what is found.
        corpus: folder, one below it for each parser, for inputs that reached something new: a later run begins with
            them. None to forget them.
        seed: another one gives others.

    Raises:
        RuntimeError: libFuzzer did not begin; the message holds what it printed.
    """
    report, left = Report(), seconds
    keep.mkdir(parents=True, exist_ok=True)
    before = set(keep.iterdir())
    with TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as work:
        reached = (corpus or Path(work) / "corpus") / name
        reached.mkdir(parents=True, exist_ok=True)
        for start in range(_STARTS):
            if left < 1:
                break
            left -= _run(name, report, left, keep, Path(work), reached, seed + start)
    report.found = sorted(file for file in set(keep.iterdir()) - before if file.suffix != _WHY)
    return report


def _run(name: str, report: Report, seconds: float, keep: Path, work: Path, reached: Path, seed: int) -> float:
    """Run libFuzzer once; return for how many seconds it did."""
    arguments = [
        f"-max_total_time={max(1, round(seconds))}", f"-timeout={MOST_SECONDS:.0f}", f"-max_len={_LONGEST_INPUT}",
        f"-seed={seed + 1}", "-print_final_stats=1", f"-artifact_prefix={keep.resolve()}/{name.replace('/', '-')}-",
        str(reached.resolve()), str(CORPUS / name),
    ]  # fmt: skip
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", f"{__package__}.guided_worker", name, str(keep.resolve()), str(work), *arguments],
        env=environment(),
        capture_output=True,
        timeout=seconds + _START_SECONDS,
        check=False,
    )
    told = done.stderr.decode("utf-8", "replace")
    ran = re.search(r"stat::number_of_executed_units: (\d+)", told)
    if ran is None:
        raise RuntimeError(f"libFuzzer did not begin with {name}: {told[-_MOST_TOLD:]}")
    for written in re.findall(r"Test unit written to (.+)", told):  # what hung, or ended the process
        Path(f"{written}{_WHY}").write_text(told[-_MOST_TOLD:], encoding="utf-8")
    report.executions += int(ran[1])
    report.edges = max([report.edges, *map(int, re.findall(r"cov: (\d+)", told))])
    lasted = re.search(r"Done \d+ runs in (\d+) second", told)
    return float(lasted[1]) + 1 if lasted else time.monotonic() - begun


def main() -> int:
    """Return 1 where something was found."""
    if find_spec("atheris") is None:
        sys.exit("Needs atheris, which there is for Linux on x86-64: pip install -e '.[dev,fuzz]'")
    known = list(parsers())
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided", description="Fuzz parsers with atheris.")
    parser.add_argument("names", nargs="*", metavar="PARSER", help=f"or a family; by default all: {', '.join(known)}")
    parser.add_argument("--seconds", type=float, default=60, help="for each parser (default 60)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--corpus", type=Path, help="folder for inputs that reached something new, to go on with")
    parser.add_argument("--keep", type=Path, default=Path("findings"), help="folder for what is found")
    asked = parser.parse_args()
    try:
        chosen = _chosen(asked.names, known)
    except ValueError as error:
        parser.error(str(error))
    _row(_COLUMNS)
    found = 0
    for name in chosen:
        begun = time.monotonic()
        report = fuzz(name, asked.seconds, keep=asked.keep, corpus=asked.corpus, seed=asked.seed)
        _row((name, report.executions, report.edges, round(time.monotonic() - begun), len(report.found)))
        for file in report.found:
            sys.stdout.write(f"  {file}\n")
        found += len(report.found)
    return int(found > 0)


def _chosen(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """Return the parsers that names, of parsers or families, stand for. Raises ValueError for one of neither."""
    if unknown := [name for name in names if not any(name in (one, one.split("/")[0]) for one in known)]:
        raise ValueError(f"no parser or family {', '.join(unknown)}: expected some of {', '.join(known)}")
    return [one for one in known if not names or one in names or one.split("/")[0] in names]


def _row(cells: tuple[object, ...]) -> None:
    sys.stdout.write(f"{cells[0]!s:<28}" + "".join(f"{cell!s:<13}" for cell in cells[1:]).rstrip() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
