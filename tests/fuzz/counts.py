"""CSV files that `count --resume-csv` goes on with."""

from pathlib import Path

from .attempt import Attempt
from .dice import Dice
from .worker import Finding

IMPORTS = ("sam_mprompt.cli.count_csv", "sam_mprompt.counting.result")

WHOLE = 'image,count\na.jpg,12.5000\nb/c.jpg,0.0000\n\'=d.jpg,1.0000\n"x,y.jpg",3.2500\n'


def prepare(folder: Path) -> None:
    """Nothing."""


def make(dice: Dice, folder: Path, shared: Path) -> Attempt:
    """Make a file and go on with it."""
    path = folder / "counts.csv"
    kind = dice.randrange(8)
    if kind == 0:
        data = WHOLE.encode()[: dice.randrange(len(WHOLE))]
    elif kind == 1:
        data = dice.damaged(WHOLE.encode())
    elif kind == 2:
        data = (WHOLE + f"{dice.word()},{dice.word()}\n").encode("utf-8", "surrogatepass")
    elif kind == 3:
        data = b"image,count\n" + b'"' + b"a" * 200_000 + b"\n"
    else:
        data = dice.lines(WHOLE)
    if dice.chance(0.05):
        path.mkdir()
    elif dice.chance(0.05):
        path.symlink_to(dice.pick(("nowhere", "/dev/null", "counts.csv", ".")))
    else:
        path.write_bytes(data)
    return Attempt(f"{len(data)} bytes: {data[:120]!a}", lambda: go_on(path))


def go_on(path: Path) -> None:
    import numpy as np

    from sam_mprompt.cli.count_csv import counts_in, csv_rows
    from sam_mprompt.cli.error_bars import ErrorBars
    from sam_mprompt.counting.intervals import UNCALIBRATED
    from sam_mprompt.counting.result import CountResult

    known = counts_in(path)
    result = CountResult(np.zeros((2, 2), np.float32), None, (16, 16), (8.0, 8.0), image=Path("new.jpg"))
    new = "new.jpg" not in known
    with csv_rows(path, ErrorBars(UNCALIBRATED), keep=True) as add:
        add(result)
    if path.is_file() and new and "new.jpg" not in counts_in(path):
        raise Finding("a row that was added is not read back")
    if path.is_file() and not known <= counts_in(path):
        raise Finding("a row that was there is gone")
