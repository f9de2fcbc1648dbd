"""What `data` prints: the splits, a histogram of heads per image, every kind of problem, and what was written."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from .ui import say

if TYPE_CHECKING:
    from ..data.check import CheckReport
    from ..data.convert import Conversion

_BAR = 40
_FIGURES = ("heads", "min", "median", "max")


def print_report(report: "CheckReport", console: Console) -> None:
    """Print a table of the splits, a histogram of heads per image, and every kind of problem with a few file names."""
    tools = [tool for tool in report.tools if tool != report.format]
    say(console, f"{report.root} (format {report.format}{', as ' if tools else ''}{' and '.join(tools)})")
    figures_of = Table()
    for column in ("split", "images", *_FIGURES):
        figures_of.add_column(column, justify="left" if column == "split" else "right")
    for name, split in report.splits.items():
        figures = split.as_dict()
        cells = ["-" if figures[key] is None else f"{figures[key]:,}".removesuffix(".0") for key in _FIGURES]
        label = f"{name} (carved from train)" if name == "val" and report.carved else name
        figures_of.add_row(label, f"{len(split.samples):,}", *cells)
    console.print(figures_of)
    counts = [count for split in report.splits.values() for count in split.counts]
    if counts:
        say(console, "\nHeads per image")
        block = "█" if console.encoding.lower().startswith("utf") else "#"
        for line in _bars(counts, block):
            say(console, line)
    for name, split in report.splits.items():
        if lines := split.problems.lines():
            say(console, f"\nIn {name}")
            for line in lines:
                say(console, f"  {line}")
    if any(split.problems.embedded for split in report.splits.values()):
        say(
            console,
            f"\n'sam-mprompt data unpack {report.root}' writes the images that labelme's files hold beside them.",
        )
    if report.sound:
        say(console, "\nNo problems found.")


def print_conversion(done: "Conversion", console: Console) -> None:
    """Print what was written for which tool, and what of the dataset that was read is a problem."""
    for read, problems in done.problems.items():
        for line in problems.lines():
            say(console, f"In {read}: {line}")
    if done.unannotated:
        say(console, f"{done.unannotated:,} images without a known annotation were left out.")
    images = "links to its images" if done.linked else "copies of its images"
    for name, number in done.images.items():
        split = "" if name == "all" else f"{name}: "
        say(console, f"{split}{number:,} images, {done.heads[name]:,} heads")
    say(console, f"{done.out} ({done.to}, {images}), from {done.root} (format {done.format})")


def _bars(counts: Sequence[int], block: str) -> list[str]:
    from ..data.check import histogram

    rows = histogram(counts)
    label = max(len(text) for text, _ in rows)
    longest = max(number for _, number in rows)
    return [f"  {text:>{label}}  {block * -(-number * _BAR // longest)} {number}" for text, number in rows]
